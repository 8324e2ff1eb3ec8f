#include "client/job_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/client/captured_console.h"

namespace dropbp::client {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(PrintJobTest, TellsWhatSamplesWerePackedInto) {
  v1::Job job;
  v1::DatasetReport& report = *job.mutable_dataset_report();
  report.set_samples(100);
  CapturedConsole plain, packed;
  PrintJob(job, {}, plain.console().out);
  EXPECT_THAT(plain.out(), Not(HasSubstr("rows")));
  report.set_rows(40);
  PrintJob(job, {}, packed.console().out);
  EXPECT_THAT(packed.out(), HasSubstr("40 rows, 2.5 samples each"));
}

TEST(PrintJobTest, TellsWhichAttemptItsStartIsOf) {
  v1::Job job;
  job.mutable_start_time()->set_seconds(1'700'000'000);
  job.set_attempt(1);
  CapturedConsole first, third;
  PrintJob(job, {}, first.console().out);
  EXPECT_THAT(first.out(), ContainsRegex("started +[^(]*\n"));
  job.set_attempt(3);
  PrintJob(job, {}, third.console().out);
  EXPECT_THAT(third.out(), ContainsRegex("started +.*\\(attempt 3\\)\n"));
}

TEST(PrintJobTest, CallsFilesAsPeopleDo) {
  v1::Job job;
  v1::DatasetSpec& data = *job.mutable_spec()->mutable_dataset();
  data.set_artifact("aa");
  data.set_validation_artifact("bb");
  (*data.mutable_mix())["cc"] = 0.5;
  CapturedConsole unnamed, named;
  PrintJob(job, {}, unnamed.console().out);
  EXPECT_THAT(unnamed.out(), Not(HasSubstr("file")));
  (*job.mutable_file_names())["aa"] = "data/train.jsonl";
  (*job.mutable_file_names())["bb"] = "test.csv";
  (*job.mutable_file_names())["cc"] = "chat.jsonl";
  PrintJob(job, {}, named.console().out);
  EXPECT_THAT(named.out(), ContainsRegex("data file +data/train.jsonl\n"));
  EXPECT_THAT(named.out(), ContainsRegex("validation file +test.csv\n"));
  EXPECT_THAT(named.out(), ContainsRegex("mixed in +chat.jsonl x 0.5\n"));
}

}  // namespace
}  // namespace dropbp::client
