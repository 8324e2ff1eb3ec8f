// Losses of some steps of our AdamW on one batch, against those of torch's (adamw_curve.py).
#pragma once

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "worker/trainer/model/decoder.h"
#include "worker/trainer/optim/adamw.h"

namespace dropbp::trainer {

// Means over the supervised tokens of `ids` and `targets` [rows, columns].
inline std::vector<double> AdamWCurve(Decoder& decoder, const at::Tensor& ids,
                                      const at::Tensor& targets) {
  TrainingSpec spec;
  spec.weight_decay = 0.01;
  AdamW optimizer(decoder.trainable(), spec);
  const auto count = targets.ne(-100).sum().item<double>();
  std::vector<double> losses;
  for (int step = 0; step < 20; ++step) {
    const at::Tensor loss = decoder.LossSum(decoder.Forward(ids, {}), targets).div(count);
    losses.push_back(loss.item<double>());
    loss.backward();
    optimizer.Step(2e-3);
    optimizer.ClearGradients();
  }
  return losses;
}

// `tolerance` is for each loss, relative to it.
inline void ExpectCurve(const std::vector<double>& losses, const at::Tensor& expected,
                        double tolerance) {
  ASSERT_EQ(expected.numel(), static_cast<int64_t>(losses.size()));
  double worst = 0;
  for (size_t step = 0; step < losses.size(); ++step) {
    const double theirs = expected[static_cast<int64_t>(step)].item<double>();
    worst = std::max(worst, std::abs(losses[step] - theirs) / theirs);
  }
  std::printf("loss %.4f -> %.4f, largest difference %.2g\n", losses.front(), losses.back(), worst);
  EXPECT_LE(worst, tolerance);
  EXPECT_LT(losses.back(), losses.front());
}

}  // namespace dropbp::trainer
