#include "worker/data/packing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "core/base/philox.h"

namespace dropbp::data {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(PackRowsTest, FillsTheFullestRowThatHasRoom) {
  // Longest first: 6 | 5 | 4 beside the 6 | 3 beside the 5 | 2 beside those.
  const std::vector<int64_t> lengths = {3, 6, 2, 5, 4};
  EXPECT_THAT(PackRows(lengths, 10), ElementsAre(ElementsAre(0, 2, 3), ElementsAre(1, 4)));
}

TEST(PackRowsTest, GivesASampleThatFillsARowARowOfItsOwn) {
  EXPECT_THAT(PackRows(std::vector<int64_t>{4, 4, 1}, 4),
              ElementsAre(ElementsAre(0), ElementsAre(1), ElementsAre(2)));
  EXPECT_THAT(PackRows({}, 4), IsEmpty());
}

TEST(PackRowsTest, HoldsEverySampleOnceAndNoRowIsTooLong) {
  PhiloxStream random(1, 0, 0);
  std::vector<int64_t> lengths(2000);
  for (int64_t& length : lengths) length = 1 + random.Below(512);
  const auto rows = PackRows(lengths, 512);
  std::vector<int64_t> seen;
  for (const Row& row : rows) {
    int64_t tokens = 0;
    for (const int64_t sample : row) tokens += lengths[sample];
    EXPECT_LE(tokens, 512);
    seen.insert(seen.end(), row.begin(), row.end());
  }
  std::sort(seen.begin(), seen.end());
  std::vector<int64_t> all(lengths.size());
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(seen, all);
  // Best fit keeps padding below a few per cent on such lengths.
  const int64_t tokens = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  EXPECT_GT(static_cast<double>(tokens), 0.97 * 512 * static_cast<double>(rows.size()));
}

TEST(MakeRowsTest, PacksOnlyIfAsked) {
  TokenizedDataset dataset;
  dataset.samples.resize(3);
  for (size_t i = 0; i < 3; ++i) dataset.samples[i].ids.resize(3 + i);
  DatasetSpec spec;
  spec.max_length = 8;
  MakeRows(spec, dataset);
  EXPECT_THAT(dataset.rows, ElementsAre(Row{0}, Row{1}, Row{2}));
  EXPECT_EQ(dataset.report.rows, 0);
  spec.packing = true;
  MakeRows(spec, dataset);
  EXPECT_THAT(dataset.rows, ElementsAre(Row{0, 2}, Row{1}));
  EXPECT_EQ(dataset.report.rows, 2);
}

}  // namespace
}  // namespace dropbp::data
