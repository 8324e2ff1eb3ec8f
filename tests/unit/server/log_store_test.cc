#include "server/logs/log_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

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

TEST_F(LogStoreTest, LinesThatAreSentAgainAreKeptOnce) {
  ASSERT_TRUE(logs_.AppendAt({"job", 1, 0}, 0, "one\n").ok());
  ASSERT_TRUE(logs_.AppendAt({"job", 1, 0}, 4, "two\n").ok());
  // A coordinator that was killed comes back, and the agent begins anew.
  LogStore again(dir_.path(), 64);
  ASSERT_TRUE(again.AppendAt({"job", 1, 0}, 0, "one\n").ok());
  ASSERT_TRUE(again.AppendAt({"job", 1, 0}, 4, "two\n").ok());
  ASSERT_TRUE(again.AppendAt({"job", 1, 0}, 8, "three\n").ok());
  EXPECT_EQ(again.Read({"job", 1, 0}, 0, 100).value(), "one\ntwo\nthree\n");
}

TEST_F(LogStoreTest, AWriteThatDeathCutShortIsCompleted) {
  ASSERT_TRUE(logs_.AppendAt({"job", 1, 0}, 0, "one\ntwo\n").ok());
  std::filesystem::resize_file(dir_.path() + "/job/1/0.log", 6);
  ASSERT_TRUE(logs_.AppendAt({"job", 1, 0}, 0, "one\ntwo\n").ok());
  EXPECT_EQ(logs_.Read({"job", 1, 0}, 0, 100).value(), "one\ntwo\n");
}

TEST_F(LogStoreTest, WhereLinesNeverCameALineSaysSo) {
  LogStore logs(dir_.path(), 1000);
  ASSERT_TRUE(logs.AppendAt({"job", 1, 0}, 0, "one\n").ok());
  const std::string gap = "[8 bytes of this log did not reach the coordinator]\n";
  // What comes after a gap is placed by where the rank wrote it, also when it comes again.
  for (int time = 0; time < 2; ++time) {
    ASSERT_TRUE(logs.AppendAt({"job", 1, 0}, 12, "four\n").ok());
    ASSERT_TRUE(logs.AppendAt({"job", 1, 0}, 17, "five\n").ok());
    EXPECT_EQ(logs.Read({"job", 1, 0}, 0, 1000).value(), "one\n" + gap + "four\nfive\n");
  }
  ASSERT_TRUE(logs.AppendAt({"job", 1, 0}, 30, "eight\n").ok());
  EXPECT_EQ(logs.Read({"job", 1, 0}, 0, 1000).value(),
            "one\n" + gap + "four\nfive\n" + gap + "eight\n");
  EXPECT_THAT(logs.List("job"), SizeIs(1)) << "the note of the gap is no log";
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
