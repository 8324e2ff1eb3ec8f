#include "client/table.h"

#include <gtest/gtest.h>

#include <sstream>

namespace dropbp::client {
namespace {

TEST(TableTest, EveryColumnFitsItsWidestCell) {
  Table table({{"JOB"}, {"STEP", Align::kRight}, {"MODEL"}});
  table.Add({"a", "1/20", "tiny"});
  table.Add({"longer-name", "10000/20000", "m"});
  std::ostringstream text;
  table.Print(Sink{text});
  EXPECT_EQ(text.str(),
            "JOB                 STEP  MODEL\n"
            "a                   1/20  tiny\n"
            "longer-name  10000/20000  m\n");
}

TEST(TableTest, CountsCharactersAndNotBytes) {
  Table table({{"BAR"}, {"X"}});
  table.Add({"███", "1"});
  table.Add({"##", "2"});
  std::ostringstream text;
  table.Print(Sink{text});
  EXPECT_EQ(text.str(), "BAR  X\n███  1\n##   2\n");
}

TEST(TableTest, AnEmptyLastCellLeavesNoSpaces) {
  Table table({{"A"}, {"B", Align::kRight}});
  table.Add({"1", ""});
  std::ostringstream text;
  table.Print(Sink{text});
  EXPECT_EQ(text.str(), "A  B\n1\n");
}

TEST(PropertiesTest, LinesOfAValueStandUnderItsFirstAndFitATerminal) {
  Properties table;
  table.Add("job", "mine");
  table.Add("why", "dataset:3: größer als erlaubt\ndataset:7: completion is missing");
  std::ostringstream file;
  table.Print(Sink{file});
  EXPECT_EQ(file.str(),
            "job  mine\n"
            "why  dataset:3: größer als erlaubt\n"
            "     dataset:7: completion is missing\n");
  std::ostringstream narrow;
  table.Print(Sink{.stream = narrow, .terminal = true, .fixed_width = 26});
  EXPECT_EQ(narrow.str(),
            "job  mine\n"
            "why  dataset:3: größer als\n"
            "     erlaubt\n"
            "     dataset:7: completion\n"
            "     is missing\n");
}

TEST(TableTest, ColoursOnlyWhereTheSinkHasThem) {
  Properties table;
  table.Add("state", Cell("FAILED", Colour::kRed));
  std::ostringstream plain;
  table.Print(Sink{plain});
  EXPECT_EQ(plain.str(), "state  FAILED\n");
  std::ostringstream coloured;
  table.Print(Sink{.stream = coloured, .colour = true});
  EXPECT_EQ(coloured.str(), "\x1b[2mstate\x1b[0m  \x1b[31mFAILED\x1b[0m\n");
}

}  // namespace
}  // namespace dropbp::client
