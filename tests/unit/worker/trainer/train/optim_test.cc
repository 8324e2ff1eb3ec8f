#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "worker/trainer/optim/adamw.h"
#include "worker/trainer/optim/clip.h"
#include "worker/trainer/optim/schedule.h"

namespace dropbp::trainer {
namespace {

TrainingSpec Spec() {
  TrainingSpec spec;
  spec.learning_rate = 1e-2;
  spec.weight_decay = 0.1;
  return spec;
}

std::vector<TrainableParameter> Parameters(const std::vector<std::vector<int64_t>>& shapes) {
  at::manual_seed(1);
  std::vector<TrainableParameter> parameters;
  for (const auto& shape : shapes) {
    parameters.push_back({.name = "p", .value = at::randn(shape).set_requires_grad(true)});
  }
  return parameters;
}

// Both add up in fp32; the fused kernel only rounds elsewhere. 1e-6 relative to weights of size 1.
TEST(AdamWTest, FollowsTorchsAdamWForFiftySteps) {
  auto parameters = Parameters({{33, 17}, {5, 64}});
  std::vector<at::Tensor> theirs;
  for (const auto& p : parameters)
    theirs.push_back(p.value.detach().clone().set_requires_grad(true));
  torch::optim::AdamW reference(
      theirs, torch::optim::AdamWOptions(1e-2).betas({0.9, 0.999}).eps(1e-8).weight_decay(0.1));
  AdamW optimizer(parameters, Spec());
  for (int step = 0; step < 50; ++step) {
    for (size_t i = 0; i < parameters.size(); ++i) {
      const at::Tensor gradient = at::randn(parameters[i].value.sizes());
      parameters[i].value.mutable_grad() = gradient.clone();
      theirs[i].mutable_grad() = gradient;
    }
    optimizer.Step(1e-2);
    reference.step();
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    EXPECT_LE((parameters[i].value - theirs[i]).abs().max().item<double>(), 2e-6);
  }
}

TEST(AdamWTest, AParameterLearnsAtItsOwnScaleOfTheLearningRate) {
  auto parameters = Parameters({{4, 4}, {4, 4}});
  parameters[1].learning_rate_scale = 8;
  TrainingSpec spec = Spec();
  spec.weight_decay = 0;
  AdamW optimizer(parameters, spec);
  std::vector<at::Tensor> before;
  for (const auto& p : parameters) {
    before.push_back(p.value.detach().clone());
    at::Tensor(p.value).mutable_grad() = at::ones({4, 4});
  }
  optimizer.Step(1e-2);
  // The first step of Adam moves each element by the learning rate.
  EXPECT_NEAR((before[0] - parameters[0].value).mean().item<double>(), 1e-2, 1e-6);
  EXPECT_NEAR((before[1] - parameters[1].value).mean().item<double>(), 8e-2, 1e-6);
}

TEST(AdamWTest, AParameterWithoutGradientKeepsValueMomentsAndStepCount) {
  auto parameters = Parameters({{4, 4}, {4, 4}});
  AdamW optimizer(parameters, Spec());
  const auto step_both = [&](bool second) {
    optimizer.ClearGradients();
    parameters[0].value.mutable_grad() = at::ones({4, 4});
    if (second) parameters[1].value.mutable_grad() = at::ones({4, 4});
    optimizer.Step(1e-2);
  };
  step_both(true);
  const at::Tensor value = parameters[1].value.detach().clone();
  const at::Tensor first = optimizer.states()[1].first_moment.clone();
  const at::Tensor second = optimizer.states()[1].second_moment.clone();
  step_both(false);
  step_both(false);
  EXPECT_TRUE(at::equal(parameters[1].value, value));
  EXPECT_TRUE(at::equal(optimizer.states()[1].first_moment, first));
  EXPECT_TRUE(at::equal(optimizer.states()[1].second_moment, second));
  EXPECT_EQ(optimizer.states()[0].step.item<float>(), 3);
  EXPECT_EQ(optimizer.states()[1].step.item<float>(), 1);
}

TEST(AdamWTest, DecaysMatricesOnly) {
  auto parameters = Parameters({{4, 4}, {4}});
  const at::Tensor matrix = parameters[0].value.detach().clone();
  const at::Tensor vector = parameters[1].value.detach().clone();
  AdamW optimizer(parameters, Spec());
  for (auto& p : parameters) p.value.mutable_grad() = at::zeros(p.value.sizes());
  optimizer.Step(1e-2);
  EXPECT_TRUE(at::allclose(parameters[0].value, matrix * (1 - 1e-2 * 0.1)));
  EXPECT_TRUE(at::equal(parameters[1].value, vector));
}

TEST(ClipTest, ScalesAllGradientsByOneGlobalNorm) {
  auto parameters = Parameters({{3}, {4}, {5}});
  parameters[0].value.mutable_grad() = at::full({3}, 2.0f);
  parameters[1].value.mutable_grad() = at::full({4}, 1.0f);
  const at::Tensor norm = GlobalGradientNorm(parameters);
  EXPECT_EQ(norm.item<float>(), 4);
  ClipGradients(parameters, norm, 1);
  EXPECT_NEAR(GlobalGradientNorm(parameters).item<float>(), 1, 1e-6);
  EXPECT_FALSE(parameters[2].value.grad().defined());
  ClipGradients(parameters, norm, 0);
  EXPECT_NEAR(GlobalGradientNorm(parameters).item<float>(), 1, 1e-6);
}

TEST(ClipTest, LeavesSmallGradientsAlone) {
  auto parameters = Parameters({{2}});
  parameters[0].value.mutable_grad() = at::full({2}, 0.1f);
  ClipGradients(parameters, GlobalGradientNorm(parameters), 1);
  EXPECT_TRUE(at::equal(parameters[0].value.grad(), at::full({2}, 0.1f)));
}

double LearningRate(const std::string& schedule, double warmup_ratio, int64_t total, int64_t step) {
  TrainingSpec spec;
  spec.learning_rate = 2;
  spec.schedule = schedule;
  spec.warmup_ratio = warmup_ratio;
  return LearningRateSchedule::Make(spec, total)->At(step);
}

TEST(ScheduleTest, WarmsUpLinearlyFromZeroOverTheCeilingOfTheRatio) {
  for (const char* schedule : {"cosine", "linear", "constant"}) {
    EXPECT_DOUBLE_EQ(LearningRate(schedule, 0.03, 101, 0), 0);  // ceil(3.03) = 4 steps
    EXPECT_DOUBLE_EQ(LearningRate(schedule, 0.03, 101, 3), 1.5);
    EXPECT_DOUBLE_EQ(LearningRate(schedule, 0.03, 101, 4), 2);
  }
}

// The formulas of transformers.optimization.get_*_schedule_with_warmup.
TEST(ScheduleTest, DecaysAsTransformersDoes) {
  for (int64_t step = 10; step <= 100; ++step) {
    const double progress = static_cast<double>(step - 10) / 90;
    EXPECT_DOUBLE_EQ(
        LearningRate("cosine", 0.1, 100, step),
        2 * std::max(0.0, 0.5 * (1 + std::cos(std::numbers::pi * 0.5 * 2 * progress))));
    EXPECT_DOUBLE_EQ(LearningRate("linear", 0.1, 100, step),
                     2 * std::max(0.0, static_cast<double>(100 - step) / 90));
    EXPECT_DOUBLE_EQ(LearningRate("constant", 0.1, 100, step), 2);
  }
}

TEST(ScheduleTest, WithoutWarmUpBeginsAtThePeak) {
  EXPECT_DOUBLE_EQ(LearningRate("cosine", 0, 10, 0), 2);
}

TEST(ScheduleTest, AnUnknownShapeIsRefusedWithTheLegalOnes) {
  TrainingSpec spec;
  spec.schedule = "polynomial";
  EXPECT_THAT(std::string(LearningRateSchedule::Make(spec, 10).status().message()),
              ::testing::AllOf(::testing::HasSubstr("polynomial"),
                               ::testing::HasSubstr("cosine, linear, constant")));
}

}  // namespace
}  // namespace dropbp::trainer
