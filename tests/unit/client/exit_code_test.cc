#include "client/exit_code.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include "absl/strings/str_format.h"
#include "core/base/files.h"

namespace dropbp::client {
namespace {

using testing::HasSubstr;

TEST(ExitCodeTest, EachKindOfErrorHasItsOwnCode) {
  EXPECT_EQ(ExitCodeOf(absl::OkStatus()), ExitCode::kOk);
  EXPECT_EQ(ExitCodeOf(absl::InvalidArgumentError("")), ExitCode::kBadInput);
  EXPECT_EQ(ExitCodeOf(absl::NotFoundError("")), ExitCode::kNotFound);
  EXPECT_EQ(ExitCodeOf(absl::UnavailableError("")), ExitCode::kUnreachable);
  EXPECT_EQ(ExitCodeOf(absl::DeadlineExceededError("")), ExitCode::kTimeout);
  EXPECT_EQ(ExitCodeOf(absl::FailedPreconditionError("")), ExitCode::kRefused);
  EXPECT_EQ(ExitCodeOf(absl::AlreadyExistsError("")), ExitCode::kRefused);
  EXPECT_EQ(ExitCodeOf(absl::InternalError("")), ExitCode::kError);
  EXPECT_EQ(ExitCodeOf(absl::DataLossError("")), ExitCode::kError);
}

TEST(ExitCodeTest, TheEndOfAJobHasItsOwnCode) {
  EXPECT_EQ(ExitCodeOfEnd(v1::Job::SUCCEEDED), ExitCode::kOk);
  EXPECT_EQ(ExitCodeOfEnd(v1::Job::FAILED), ExitCode::kJobFailed);
  EXPECT_EQ(ExitCodeOfEnd(v1::Job::CANCELLED), ExitCode::kCancelled);
  EXPECT_EQ(ExitCodeOfEnd(v1::Job::RUNNING), ExitCode::kError);
}

TEST(ExitCodeTest, TheDocumentationHasTheSameTable) {
  const char* source = getenv("DROPBP_SOURCE_DIR");
  ASSERT_NE(source, nullptr);
  const auto page = ReadFile(std::string(source) + "/docs/cli.md", 1 << 20);
  ASSERT_TRUE(page.ok()) << page.status();
  for (const ExitCodeMeaning& row : ExitCodeTable()) {
    EXPECT_THAT(*page,
                HasSubstr(absl::StrFormat("| %d | %s |", static_cast<int>(row.code), row.meaning)));
  }
}

}  // namespace
}  // namespace dropbp::client
