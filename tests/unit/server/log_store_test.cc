#include "server/logs/log_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/server/temp_dir.h"

namespace dropbp::server {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class LogStoreTest : public ::testing::Test {
 protected:
  TempDir dir_;
  LogStore logs_{dir_.path(), 64};
};

TEST_F(LogStoreTest, KeepsAFileForEachAttemptAndRank) {
  ASSERT_TRUE(logs_.Append({"job", 2, 0}, "later\n").ok());
  ASSERT_TRUE(logs_.Append({"job", 1, 1}, "one\n").ok());
  ASSERT_TRUE(logs_.Append({"job", 1, 1}, "two\n").ok());
  const auto names = logs_.List("job");
  ASSERT_THAT(names, SizeIs(2));
  EXPECT_EQ(names[0].attempt, 1);
  EXPECT_EQ(names[0].rank, 1);
  EXPECT_EQ(logs_.Read(names[0], 0, 100).value(), "one\ntwo\n");
  EXPECT_EQ(logs_.Read(names[0], 4, 100).value(), "two\n");
  EXPECT_EQ(logs_.Read(names[0], 8, 100).value(), "");
  EXPECT_THAT(logs_.List("other"), IsEmpty());
}

TEST_F(LogStoreTest, ReadsWholeLines) {
  ASSERT_TRUE(logs_.Append({"job", 1, 0}, "first\nsecond\n").ok());
  EXPECT_EQ(logs_.Read({"job", 1, 0}, 0, 9).value(), "first\n");
}

TEST_F(LogStoreTest, StopsAtTheLimitAndSaysSo) {
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(logs_.Append({"job", 1, 0}, "0123456789\n").ok());
  const std::string text = logs_.Read({"job", 1, 0}, 0, 1000).value();
  EXPECT_LE(text.size(), 64 + 40u);
  EXPECT_THAT(text, ::testing::EndsWith("[log limit of 64 bytes reached]\n"));
}

TEST_F(LogStoreTest, FindsTheLastLines) {
  ASSERT_TRUE(logs_.Append({"job", 1, 0}, "a\nbb\nccc\n").ok());
  EXPECT_EQ(logs_.TailOffset({"job", 1, 0}, 1).value(), 5);
  EXPECT_EQ(logs_.TailOffset({"job", 1, 0}, 2).value(), 2);
  EXPECT_EQ(logs_.TailOffset({"job", 1, 0}, 9).value(), 0);
  EXPECT_EQ(logs_.TailOffset({"job", 1, 0}, 0).value(), 9);
}

}  // namespace
}  // namespace dropbp::server
