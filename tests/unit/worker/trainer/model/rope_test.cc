#include "worker/trainer/model/rope.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace dropbp::trainer {
namespace {

hf::RopeConfig LongRope() {
  return {.theta = 100,
          .type = "longrope",
          .original_positions = 10,
          .short_factors = {1, 1},
          .long_factors = {2, 4},
          .attention_factor = 1.5};
}

// Angles of position 3 in a table for heads of four elements, divided by `factors`.
RopeAngles Expected(double first_factor, double second_factor, double scale) {
  const at::Tensor angles = at::tensor({3 / first_factor, 3 / (10 * second_factor)}, at::kFloat);
  return {angles.cos() * scale, angles.sin() * scale};
}

void ExpectClose(const RopeAngles& angles, int64_t column, const RopeAngles& expected) {
  EXPECT_TRUE(at::allclose(angles.cos[0][column], expected.cos));
  EXPECT_TRUE(at::allclose(angles.sin[0][column], expected.sin));
}

TEST(RopeTableTest, ALongRopeTakesItsLongFactorsBeyondTheOriginalPositions) {
  RopeTable table(LongRope(), 4, at::kCPU);
  ExpectClose(table.First(10), 3, Expected(1, 1, 1.5));
  ExpectClose(table.First(11), 3, Expected(2, 4, 1.5));
  ExpectClose(table.First(10), 3, Expected(1, 1, 1.5));  // the longer table has left it as it was
}

TEST(RopeTableTest, ACacheIsFilledByTheAnglesOfItsWholeLength) {
  RopeTable table(LongRope(), 4, at::kCPU);
  const at::Tensor positions = at::tensor({3, 2}, at::kLong).view({1, 2});
  ExpectClose(table.At(positions, 10), 0, Expected(1, 1, 1.5));
  ExpectClose(table.At(positions, 11), 0, Expected(2, 4, 1.5));
}

TEST(RopeTableTest, APartOfAHeadHasAnglesOfItsOwnWidth) {
  RopeTable table({.theta = 100, .rotary_dim = 4}, 16, at::kCPU);
  EXPECT_EQ(table.First(5).cos.size(2), 2);
  ExpectClose(table.First(5), 3, Expected(1, 1, 1));
}

TEST(RopeTableTest, LinearScalingSlowsEveryFrequency) {
  RopeTable table({.theta = 100, .type = "linear", .factor = 2}, 4, at::kCPU);
  ExpectClose(table.First(5), 3, Expected(2, 2, 1));
}

}  // namespace
}  // namespace dropbp::trainer
