#include "core/plan/sensitivity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace dropbp {
namespace {

using ::testing::HasSubstr;

TEST(GradNormVarTest, SumsSquaredDifferencesOfNorms) {
  EXPECT_EQ(*GradNormVar({3, 1, 2}, {1, 1, 0}), 4 + 0 + 4);
  EXPECT_EQ(*GradNormVar({}, {}), 0);
}

TEST(GradNormVarTest, RefusesListsOfDifferentLength) {
  const auto sensitivity = GradNormVar({1, 2}, {1});
  EXPECT_EQ(sensitivity.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(sensitivity.status().message()),
              HasSubstr("found 1 tensors with a unit dropped and 2"));
}

TEST(GradNormVarTest, RefusesNormsThatAreNotFinite) {
  EXPECT_FALSE(GradNormVar({1, std::nan("")}, {1, 1}).ok());
  EXPECT_THAT(std::string(GradNormVar({1, 1}, {1, INFINITY}).status().message()),
              HasSubstr("tensor 1"));
  EXPECT_FALSE(GradNormVar({1e200}, {0}).ok());  // the square is beyond double
}

}  // namespace
}  // namespace dropbp
