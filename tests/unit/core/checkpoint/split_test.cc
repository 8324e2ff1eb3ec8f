#include "core/checkpoint/split.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace dropbp {
namespace {

using ::testing::ElementsAre;

TEST(WriterOfTest, GivesEachRankARunOfNeighbours) {
  EXPECT_THAT(WriterOf({10, 10, 10, 10}, 2), ElementsAre(0, 0, 1, 1));
  EXPECT_THAT(WriterOf({30, 10, 10, 10}, 2), ElementsAre(0, 1, 1, 1));
  EXPECT_THAT(WriterOf({1, 1, 1}, 1), ElementsAre(0, 0, 0));
}

TEST(WriterOfTest, LeavesRanksEmptyWhereThereAreTooFewThings) {
  EXPECT_THAT(WriterOf({5}, 4), ElementsAre(2));
  EXPECT_THAT(WriterOf({}, 4), ElementsAre());
  EXPECT_THAT(WriterOf({0, 0}, 4), ElementsAre(0, 0));
}

TEST(WriterOfTest, NoRankWritesMoreThanItsShareAndOneThing) {
  std::vector<int64_t> bytes;
  for (int i = 0; i < 500; ++i) bytes.push_back(1 + (i * 7919) % 4096);
  int64_t all = 0;
  for (const int64_t size : bytes) all += size;
  for (const int world_size : {1, 2, 3, 8, 64}) {
    const std::vector<int> writers = WriterOf(bytes, world_size);
    EXPECT_TRUE(std::is_sorted(writers.begin(), writers.end()));
    std::vector<int64_t> share(static_cast<size_t>(world_size), 0);
    for (size_t i = 0; i < bytes.size(); ++i) share.at(static_cast<size_t>(writers[i])) += bytes[i];
    EXPECT_LE(*std::max_element(share.begin(), share.end()), all / world_size + 4096);
  }
}

}  // namespace
}  // namespace dropbp
