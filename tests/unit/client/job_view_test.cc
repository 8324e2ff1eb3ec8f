#include "client/job_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/client/captured_console.h"

namespace dropbp::client {
namespace {

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

}  // namespace
}  // namespace dropbp::client
