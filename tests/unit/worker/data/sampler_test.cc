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

std::vector<int64_t> RandomLengths(int64_t samples) {
  PhiloxStream random(3, 0, 0);
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < samples; ++i) lengths.push_back(5 + random.Below(500));
  return lengths;
}

// Positions that are not tokens, if each half of a step is padded to its longest sample.
int64_t Padding(Sampler sampler, const std::vector<int64_t>& lengths, int64_t steps) {
  int64_t padding = 0;
  for (int64_t step = 0; step < steps; ++step) {
    const std::vector<int64_t> batch = sampler.GlobalBatch(step);
    for (size_t half = 0; half < batch.size(); half += batch.size() / 2) {
      int64_t longest = 0;
      for (size_t i = half; i < half + batch.size() / 2; ++i)
        longest = std::max(longest, lengths[static_cast<size_t>(batch[i])]);
      for (size_t i = half; i < half + batch.size() / 2; ++i)
        padding += longest - lengths[static_cast<size_t>(batch[i])];
    }
  }
  return padding;
}

TEST(GroupByLengthTest, TakesEverySampleOncePerEpoch) {
  for (const int64_t samples : {5, 16, 64, 1003}) {  // steps of 16: one epoch may be less than one
    Sampler sampler(samples, 16, 1, RandomLengths(samples));
    std::vector<int64_t> seen;
    for (int64_t step = 0; step * 16 < 3 * samples; ++step) {
      for (int64_t sample : sampler.GlobalBatch(step)) seen.push_back(sample);
    }
    std::vector<int64_t> all(static_cast<size_t>(samples));
    std::iota(all.begin(), all.end(), 0);
    for (auto epoch = seen.begin(); epoch < seen.begin() + 3 * samples; epoch += samples)
      EXPECT_TRUE(std::is_permutation(epoch, epoch + samples, all.begin())) << samples;
  }
}

TEST(GroupByLengthTest, LeavesLittlePaddingInEveryEpoch) {
  const std::vector<int64_t> lengths = RandomLengths(1003);  // no whole number of steps
  const int64_t plain = Padding(Sampler(1003, 16, 1), lengths, 300);
  const int64_t grouped = Padding(Sampler(1003, 16, 1, lengths), lengths, 300);
  EXPECT_LT(grouped, plain / 8);
}

TEST(GroupByLengthTest, IsAFunctionOfSeedAndStepAlone) {
  const std::vector<int64_t> lengths = RandomLengths(1003);
  Sampler forward(1003, 16, 7, lengths);
  std::vector<std::vector<int64_t>> batches;
  for (int64_t step = 0; step < 200; ++step) batches.push_back(forward.GlobalBatch(step));
  for (int64_t step = 199; step >= 0; step -= 7) {
    EXPECT_EQ(Sampler(1003, 16, 7, lengths).GlobalBatch(step), batches[static_cast<size_t>(step)]);
  }
  EXPECT_NE(Sampler(1003, 16, 8, lengths).GlobalBatch(0), batches[0]);
}

TEST(GroupByLengthTest, ShufflesTheSteps) {
  const std::vector<int64_t> lengths = RandomLengths(800);
  Sampler sampler(800, 16, 7, lengths);
  int longer = 0;
  for (int64_t step = 0; step + 1 < 50; ++step) {
    longer += lengths[static_cast<size_t>(sampler.GlobalBatch(step)[0])] <
              lengths[static_cast<size_t>(sampler.GlobalBatch(step + 1)[0])];
  }
  EXPECT_GT(longer, 12);  // of 49 neighbours; about half
  EXPECT_LT(longer, 37);
}

}  // namespace
}  // namespace dropbp::data
