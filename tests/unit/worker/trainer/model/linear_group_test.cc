#include "worker/trainer/model/linear_group.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace dropbp::trainer {
namespace {

// Two modules, 70 and 90 wide, the second one with an adapter as well; inputs of 80.
struct Example {
  at::Tensor weight = at::randn({160, 80});
  at::Tensor bias = at::randn({160});
  at::Tensor a1 = at::randn({4, 80}).requires_grad_(true);
  at::Tensor b1 = at::randn({70, 4}).requires_grad_(true);
  at::Tensor a2 = at::randn({4, 80}).requires_grad_(true);
  at::Tensor b2 = at::randn({90, 4}).requires_grad_(true);
  at::Tensor x = at::randn({33, 80}).requires_grad_(true);
  at::Tensor dy = at::randn({33, 160});

  LinearGroup Group(double dropout) const {
    std::vector<LinearModule> modules(2);
    modules[0].out = 70;
    modules[0].lora_a = a1;
    modules[0].lora_b = b1;
    modules[1].offset = 70;
    modules[1].out = 90;
    modules[1].lora_a = a2;
    modules[1].lora_b = b2;
    for (LinearModule& module : modules) module.scaling = 1.5;
    return LinearGroup(modules, LinearWeight(weight), bias, dropout, at::kFloat);
  }

  // By autograd; `mask` is what dropout multiplies the adapters' input with.
  at::Tensor Reference(const at::Tensor& mask) const {
    const at::Tensor input = x * mask;
    const at::Tensor adapters =
        at::cat({input.mm(a1.t()).mm(b1.t()), input.mm(a2.t()).mm(b2.t())}, 1);
    return at::addmm(bias, x, weight.t()) + 1.5 * adapters;
  }
};

void ExpectEqualsReference(double dropout) {
  at::manual_seed(4);
  const Example example;
  LinearGroup group = example.Group(dropout);
  const at::Generator generator = at::detail::createCPUGenerator(9);
  LinearTape tape;
  at::Tensor y;
  {
    at::NoGradGuard no_grad;
    y = group.Forward(example.x.detach(), &generator, &tape);
  }
  const at::Tensor mask =
      tape.lora.dropout_mask.defined() ? tape.lora.dropout_mask : at::ones_like(example.x);
  const at::Tensor expected = example.Reference(mask);
  EXPECT_TRUE(at::allclose(y, expected, 1e-4, 1e-4));
  expected.backward(example.dy);
  at::NoGradGuard no_grad;
  const LinearGrads grads =
      group.Backward(tape, example.x.detach(), example.dy, /*input_needed=*/true);
  EXPECT_TRUE(at::allclose(grads.input, example.x.grad(), 1e-4, 1e-3));
  ASSERT_EQ(grads.parameters.size(), 4u);
  const at::Tensor leaves[] = {example.a1, example.b1, example.a2, example.b2};
  for (size_t i = 0; i < 4; ++i)
    EXPECT_TRUE(at::allclose(grads.parameters[i], leaves[i].grad(), 1e-4, 1e-2)) << i;
  EXPECT_FALSE(
      group.Backward(tape, example.x.detach(), example.dy, /*input_needed=*/false).input.defined());
}

TEST(LinearGroupTest, AdaptersEqualAutograd) { ExpectEqualsReference(0); }

TEST(LinearGroupTest, DropoutMasksTheAdaptersInputOnly) { ExpectEqualsReference(0.5); }

TEST(LinearGroupTest, SeesLeavesThatChangedInPlace) {
  at::manual_seed(4);
  const Example example;
  LinearGroup group = example.Group(0);
  at::NoGradGuard no_grad;
  const at::Tensor before = group.Forward(example.x, nullptr, nullptr);
  example.b1.data().add_(1);  // leaves the version counter alone, as fused optimizers do
  EXPECT_FALSE(at::equal(group.Forward(example.x, nullptr, nullptr), before));
}

}  // namespace
}  // namespace dropbp::trainer
