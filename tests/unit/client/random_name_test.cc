#include "client/random_name.h"

#include <gtest/gtest.h>

#include <set>

#include "core/job/job_fields.h"

namespace dropbp::client {
namespace {

TEST(RandomNameTest, EveryJobIdIsLegal) {
  for (int i = 0; i < 1000; ++i) {
    const std::string id = RandomJobId();
    EXPECT_TRUE(IsLegalJobId(id)) << id;
  }
}

TEST(RandomNameTest, HexHasTheAskedLengthAndDiffers) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) seen.insert(RandomHex(16));
  EXPECT_EQ(seen.size(), 100u);
  EXPECT_EQ(seen.begin()->size(), 32u);
}

}  // namespace
}  // namespace dropbp::client
