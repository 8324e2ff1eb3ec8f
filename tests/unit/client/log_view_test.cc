#include "client/log_view.h"

#include <gmock/gmock.h>

#include <sstream>

#include "client/log_cursor.h"

namespace dropbp::client {
namespace {

v1::ReadJobLogsResponse Part(int rank, int attempt, const std::string& text) {
  v1::ReadJobLogsResponse part;
  part.set_rank(rank);
  part.set_attempt(attempt);
  part.set_text(text);
  return part;
}

TEST(LogCursorTest, ALogReadAgainGoesOnWhereItWasCut) {
  LogCursor cursor;
  auto part = Part(0, 1, "one\ntwo\n");
  EXPECT_TRUE(cursor.Advance(part));
  EXPECT_EQ(part.text(), "one\ntwo\n");
  cursor.Restart();
  part = Part(0, 1, "one\n");
  EXPECT_FALSE(cursor.Advance(part));
  part = Part(0, 1, "two\nthree\n");
  EXPECT_TRUE(cursor.Advance(part));
  EXPECT_EQ(part.text(), "three\n");
}

TEST(LogCursorTest, CountsEachRankAndAttemptForItself) {
  LogCursor cursor;
  auto part = Part(0, 1, "a\n");
  cursor.Advance(part);
  part = Part(1, 1, "a\n");
  EXPECT_TRUE(cursor.Advance(part));
  part = Part(0, 2, "a\n");
  EXPECT_TRUE(cursor.Advance(part));
}

TEST(LogTailTest, KeepsTheLastLinesOfEachRank) {
  LogTail tail(2);
  tail.Add(Part(1, 1, "x\n"));
  tail.Add(Part(0, 1, "a\nb\nc\n"));
  std::string text;
  for (const auto& part : tail.Take()) text += part.text();
  EXPECT_EQ(text, "b\nc\nx\n");
}

TEST(LogViewTest, NamesTheRankOfEachLineWhereThereAreSeveral) {
  std::ostringstream text;
  LogView(Sink{text}, /*name_rank=*/true, /*json=*/false).Show(Part(1, 1, "a\nb\n"));
  EXPECT_EQ(text.str(), "rank 1: a\nrank 1: b\n");
}

TEST(LogViewTest, WritesTheBareLinesOfOneRank) {
  std::ostringstream text;
  LogView(Sink{text}, /*name_rank=*/false, /*json=*/false).Show(Part(0, 1, "a\n\nb\n"));
  EXPECT_EQ(text.str(), "a\n\nb\n");
}

}  // namespace
}  // namespace dropbp::client
