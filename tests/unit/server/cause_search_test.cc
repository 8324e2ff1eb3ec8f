#include "server/run/cause_search.h"

#include <gtest/gtest.h>

namespace dropbp::server {
namespace {

const absl::Time kBegin = absl::UnixEpoch();

TEST(CauseSearchTest, BeginsWithTheFirstRankThatGivesUp) {
  CauseSearch search;
  EXPECT_FALSE(search.open());
  search.AddWord(1, "lost a peer", kBegin);
  EXPECT_TRUE(search.open());
  EXPECT_TRUE(search.HasGivenUp(1));
  EXPECT_FALSE(search.HasGivenUp(0));
}

TEST(CauseSearchTest, KeepsTheFirstWordAndItsTime) {
  CauseSearch search;
  search.AddWord(1, "first", kBegin);
  search.AddWord(0, "second", kBegin + absl::Seconds(1));
  EXPECT_EQ(search.first_word(), "first");
  EXPECT_FALSE(search.TimeIsUp(kBegin + kCauseGrace - absl::Milliseconds(1)));
  EXPECT_TRUE(search.TimeIsUp(kBegin + kCauseGrace));
}

TEST(CauseSearchTest, GivesRanksAsMuchLongerAsTheCoordinatorStoodStill) {
  CauseSearch search;
  search.AddWord(0, "lost a peer", kBegin);
  search.Forgive(absl::Seconds(10));
  EXPECT_FALSE(search.TimeIsUp(kBegin + kCauseGrace));
  EXPECT_TRUE(search.TimeIsUp(kBegin + kCauseGrace + absl::Seconds(10)));
}

TEST(CauseSearchTest, HasHeardOfRanksThatGaveUpAreDoneOrGone) {
  std::vector<Placement> gang(3);
  CauseSearch search;
  search.AddWord(1, "lost a peer", kBegin);
  EXPECT_FALSE(search.HeardOfAll(gang));
  gang[0].finished = true;
  EXPECT_FALSE(search.HeardOfAll(gang));
  gang[2].gone = true;
  EXPECT_TRUE(search.HeardOfAll(gang));
}

}  // namespace
}  // namespace dropbp::server
