#include "worker/data/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

namespace dropbp::data {
namespace {

TEST(SamplerTest, TakesEverySampleOncePerEpoch) {
  Sampler sampler(10, 4, 1);
  std::vector<int64_t> seen;
  for (int64_t step = 0; step < 5; ++step) {
    for (int64_t sample : sampler.GlobalBatch(step)) seen.push_back(sample);
  }
  std::vector<int64_t> all(10);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_TRUE(std::is_permutation(seen.begin(), seen.begin() + 10, all.begin()));
  EXPECT_TRUE(std::is_permutation(seen.begin() + 10, seen.end(), all.begin()));
  EXPECT_FALSE(std::equal(seen.begin(), seen.begin() + 10, seen.begin() + 10))
      << "epochs differ in their order";
}

TEST(SamplerTest, IsAFunctionOfSeedAndStepAlone) {
  Sampler forward(1000, 16, 7);
  std::vector<std::vector<int64_t>> batches;
  for (int64_t step = 0; step < 200; ++step) batches.push_back(forward.GlobalBatch(step));
  Sampler backward(1000, 16, 7);
  for (int64_t step = 199; step >= 0; --step) {
    EXPECT_EQ(backward.GlobalBatch(step), batches[static_cast<size_t>(step)]);
  }
  EXPECT_NE(Sampler(1000, 16, 8).GlobalBatch(0), batches[0]);
}

TEST(SamplerTest, WalksThroughSeveralEpochsInOneStepOfAFewSamples) {
  Sampler sampler(2, 5, 1);
  const std::vector<int64_t> batch = sampler.GlobalBatch(3);
  EXPECT_EQ(batch.size(), 5u);
  EXPECT_TRUE(std::all_of(batch.begin(), batch.end(),
                          [](int64_t sample) { return sample == 0 || sample == 1; }));
}

TEST(SamplerTest, GivesEverySampleTheSameChanceOfEveryPlace) {
  constexpr int kSeeds = 4000;
  std::vector<int> first(8);
  for (uint64_t seed = 0; seed < kSeeds; ++seed)
    ++first[static_cast<size_t>(Sampler(8, 1, seed).GlobalBatch(0)[0])];
  // Binomial(4000, 1/8): mean 500, standard deviation 21.
  for (int count : first) EXPECT_NEAR(count, 500, 4 * 21);
}

}  // namespace
}  // namespace dropbp::data
