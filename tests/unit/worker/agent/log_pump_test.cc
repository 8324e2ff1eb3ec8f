#include "worker/agent/log_pump.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/unit/worker/agent/temp_folder.h"

namespace dropbp::agent {
namespace {

using ::testing::ElementsAre;

class LogPumpTest : public ::testing::Test {
 protected:
  LogPumpTest() {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    write_end_ = ends[1];
    pump_ = std::make_unique<LogPump>(ends[0], folder_ / "rank-0.log",
                                      [this](std::string lines) { sent_.push_back(lines); });
  }

  void Write(const std::string& text) {
    ASSERT_EQ(write(write_end_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    EXPECT_TRUE(pump_->Pump());
  }

  TempFolder folder_;
  int write_end_ = -1;
  std::vector<std::string> sent_;
  std::unique_ptr<LogPump> pump_;
};

TEST_F(LogPumpTest, SendsWholeLinesAndKeepsTheRest) {
  Write("one\ntwo\nth");
  Write("ree\nfour");
  EXPECT_THAT(sent_, ElementsAre("one\ntwo\n", "three\n"));
  pump_->Finish();
  EXPECT_THAT(sent_, ElementsAre("one\ntwo\n", "three\n", "four\n"));
  EXPECT_THAT(pump_->LastLines(), ElementsAre("one", "two", "three", "four"));
  close(write_end_);
}

TEST_F(LogPumpTest, WritesEveryByteToTheLogFile) {
  Write("one\nt\xffwo");
  EXPECT_EQ(ReadText(folder_ / "rank-0.log"), "one\nt\xffwo");
  close(write_end_);
}

TEST_F(LogPumpTest, RemembersTheLastTwentyLines) {
  for (int line = 1; line <= 25; ++line) Write(std::to_string(line) + "\n");
  EXPECT_EQ(pump_->LastLines().size(), 20u);
  EXPECT_EQ(pump_->LastLines().front(), "6");
  EXPECT_EQ(pump_->LastLines().back(), "25");
  close(write_end_);
}

TEST_F(LogPumpTest, RepairsTextThatIsNotUtf8) {
  Write("bad \xff byte\n");
  EXPECT_THAT(sent_, ElementsAre("bad ? byte\n"));
  close(write_end_);
}

TEST_F(LogPumpTest, TellsTheEndOfThePipe) {
  close(write_end_);
  EXPECT_FALSE(pump_->Pump());
}

}  // namespace
}  // namespace dropbp::agent
