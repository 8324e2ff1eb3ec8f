#include "worker/trainer/model/token_loss.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace dropbp::trainer {
namespace {

struct Problem {
  at::Tensor hidden = at::randn({500, 24}).requires_grad_(true);
  at::Tensor head =
      at::randn({70000, 24}).mul_(0.3).requires_grad_(true);  // so wide that rows come in chunks
  at::Tensor targets = at::randint(70000, {500}, at::kLong);
};

TEST(TokenLossTest, EqualsCrossEntropyWithIgnoredRows) {
  at::manual_seed(6);
  Problem p;
  p.targets.narrow(0, 100, 150).fill_(-100);
  const at::Tensor expected =
      at::cross_entropy_loss(p.hidden.mm(p.head.t()), p.targets, {}, at::Reduction::Sum, -100);
  expected.backward();
  const at::Tensor hidden_grad = p.hidden.grad().clone(), head_grad = p.head.grad().clone();
  p.hidden.mutable_grad().reset();
  p.head.mutable_grad().reset();
  const ComputeCopy head = ComputeCopy::Of(p.head, at::kFloat);
  const at::Tensor loss = TokenLossSum(p.hidden, p.targets, head);
  EXPECT_NEAR(loss.item<double>(), expected.item<double>(), 1e-6 * expected.item<double>());
  loss.div(4).backward();
  EXPECT_LE((p.hidden.grad() * 4 - hidden_grad).norm().item<double>(),
            1e-5 * hidden_grad.norm().item<double>());
  EXPECT_LE((p.head.grad() * 4 - head_grad).norm().item<double>(),
            1e-5 * head_grad.norm().item<double>());
}

TEST(TokenLossTest, CapsLogits) {
  at::manual_seed(6);
  Problem p;
  const at::Tensor logits = (p.hidden.mm(p.head.t()) / 2).tanh() * 2;
  at::cross_entropy_loss(logits, p.targets, {}, at::Reduction::Sum, -100).backward();
  const at::Tensor hidden_grad = p.hidden.grad().clone(), head_grad = p.head.grad().clone();
  p.hidden.mutable_grad().reset();
  p.head.mutable_grad().reset();
  TokenLossSum(p.hidden, p.targets, ComputeCopy::Of(p.head, at::kFloat), /*softcap=*/2).backward();
  EXPECT_LE((p.hidden.grad() - hidden_grad).norm().item<double>(),
            1e-5 * hidden_grad.norm().item<double>());
  EXPECT_LE((p.head.grad() - head_grad).norm().item<double>(),
            1e-5 * head_grad.norm().item<double>());
}

TEST(TokenLossTest, NoSupervisedRowGivesZeroLossAndZeroGradients) {
  at::manual_seed(6);
  Problem p;
  p.targets.fill_(-100);
  const at::Tensor loss = TokenLossSum(p.hidden, p.targets, ComputeCopy::Frozen(p.head.detach()));
  EXPECT_EQ(loss.item<double>(), 0);
  loss.backward();
  EXPECT_EQ(p.hidden.grad().abs().max().item<double>(), 0);
}

TEST(TokenLossTest, RecordsNothingWithoutGradients) {
  at::manual_seed(6);
  Problem p;
  EXPECT_FALSE(TokenLossSum(p.hidden.detach(), p.targets, ComputeCopy::Frozen(p.head.detach()))
                   .requires_grad());
}

}  // namespace
}  // namespace dropbp::trainer
