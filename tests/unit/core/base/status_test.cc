#include "core/base/status.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/cord.h"

namespace dropbp {
namespace {

absl::StatusOr<std::unique_ptr<int>> Number(bool good) {
  if (!good) return absl::NotFoundError("no number");
  return std::make_unique<int>(5);
}

absl::StatusOr<int> Twice(bool good) {
  ASSIGN_OR_RETURN(const std::unique_ptr<int> number, Number(good));
  return 2 * *number;
}

absl::Status Check(bool good) {
  RETURN_IF_ERROR(Number(good).status());
  return absl::OkStatus();
}

TEST(StatusTest, AssignOrReturnMovesTheValueOutOrReturnsTheError) {
  EXPECT_EQ(*Twice(true), 10);
  EXPECT_EQ(Twice(false).status(), absl::NotFoundError("no number"));
}

TEST(StatusTest, ReturnIfErrorGoesOnWhenAllIsWell) {
  EXPECT_TRUE(Check(true).ok());
  EXPECT_EQ(Check(false), absl::NotFoundError("no number"));
}

class Failing {
 public:
  absl::Status Finish() const {
    RETURN_IF_ERROR(status_);
    return absl::OkStatus();
  }

 private:
  absl::Status status_ = absl::NotFoundError("kept in a member");
};

TEST(StatusTest, ReturnIfErrorTakesMembersToo) {
  EXPECT_EQ(Failing().Finish(), absl::NotFoundError("kept in a member"));
}

TEST(StatusTest, AnnotatePutsTheContextFirstAndKeepsCodeAndPayloads) {
  absl::Status status = absl::DataLossError("bad header");
  status.SetPayload("url", absl::Cord("detail"));
  const absl::Status annotated = Annotate(status, "model.safetensors");
  EXPECT_EQ(annotated.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(annotated.message(), "model.safetensors: bad header");
  EXPECT_EQ(annotated.GetPayload("url"), absl::Cord("detail"));
}

TEST(StatusTest, AnnotateLeavesOkAlone) { EXPECT_TRUE(Annotate(absl::OkStatus(), "file").ok()); }

}  // namespace
}  // namespace dropbp
