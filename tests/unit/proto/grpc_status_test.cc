#include "proto/support/grpc_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace dropbp {
namespace {

using ::testing::HasSubstr;

absl::Status OverTheWire(const absl::Status& status) {
  return FromGrpcStatus(ToGrpcStatus(status));
}

TEST(GrpcStatusTest, KeepsOk) {
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  EXPECT_TRUE(FromGrpcStatus(grpc::Status::OK).ok());
}

TEST(GrpcStatusTest, BringsEveryCodeThereAndBack) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "what happened");
    EXPECT_EQ(static_cast<int>(ToGrpcStatus(status).error_code()), code);
    EXPECT_EQ(OverTheWire(status), status);
  }
}

TEST(GrpcStatusTest, CarriesTheReasonAsErrorInfoOfOurDomain) {
  const absl::Status status = WithReason(absl::NotFoundError("no job 'a'"), "JOB_NOT_FOUND");
  EXPECT_EQ(ReasonOf(OverTheWire(status)), "JOB_NOT_FOUND");
  google::rpc::Status wire;
  ASSERT_TRUE(wire.ParseFromString(ToGrpcStatus(status).error_details()));
  EXPECT_EQ(wire.code(), 5);
  EXPECT_EQ(wire.message(), "no job 'a'");
  google::rpc::ErrorInfo info;
  ASSERT_EQ(wire.details_size(), 1);
  ASSERT_TRUE(wire.details(0).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "JOB_NOT_FOUND");
  EXPECT_EQ(info.domain(), "dropbp");
}

TEST(GrpcStatusTest, HasNoReasonAndNoViolationsWhereNoneWereGiven) {
  EXPECT_EQ(ReasonOf(absl::InternalError("x")), "");
  EXPECT_TRUE(ViolationsOf(absl::InternalError("x")).empty());
  EXPECT_TRUE(WithReason(absl::OkStatus(), "X").ok());
}

TEST(GrpcStatusTest, CarriesEveryViolationOfASpecThatBreaksEveryRule) {
  JobSpec spec;
  spec.method = spec.dtype = spec.dataset.format = spec.dataset.loss_on = "?";
  spec.dataset.overlength = spec.training.schedule = spec.dropbp.masks = spec.dropbp.allocation =
      "?";
  spec.lora.target_modules = {"?"};
  for (const JobField& field : JobFields()) {
    if (const auto* whole = std::get_if<int64_t& (*)(JobSpec&)>(&field.access))
      (*whole)(spec) = INT64_MIN;
    if (const auto* real = std::get_if<double& (*)(JobSpec&)>(&field.access))
      (*real)(spec) = -1e300;
  }
  const std::vector<FieldViolation> violations = ValidateJobSpec(spec);
  ASSERT_GE(violations.size(), 30u);
  const absl::Status back = OverTheWire(InvalidFields(violations));
  EXPECT_EQ(back.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(back), "INVALID_JOB");
  const std::vector<FieldViolation> received = ViolationsOf(back);
  ASSERT_EQ(received.size(), violations.size());
  for (size_t i = 0; i < violations.size(); ++i) {
    EXPECT_EQ(received[i].field, violations[i].field);
    EXPECT_EQ(received[i].description, violations[i].description);
  }
}

TEST(GrpcStatusTest, SaysHowManyViolationsDidNotFit) {
  std::vector<FieldViolation> violations;
  for (int i = 0; i < 1000; ++i)
    violations.push_back({absl::StrCat("field", i), std::string(50, 'x')});
  const auto received = ViolationsOf(OverTheWire(InvalidFields(violations)));
  ASSERT_GT(received.size(), 30u);
  EXPECT_EQ(received[0].field, "field0");
  EXPECT_EQ(received.back().description,
            absl::StrCat("and ", 1000 - (received.size() - 1), " more"));
}

TEST(GrpcStatusTest, SendsOnlyValidUtf8) {
  const grpc::Status status = ToGrpcStatus(absl::InvalidArgumentError("line 3: \xff"));
  EXPECT_EQ(status.error_message(), "line 3: ?");
  EXPECT_EQ(ViolationsOf(InvalidFields({{"f\xff", "d\xff"}}))[0].description, "d?");
}

TEST(GrpcStatusTest, ShortensLongMessages) {
  EXPECT_LE(ToGrpcStatus(absl::InternalError(std::string(100000, 'x'))).error_message().size(),
            700u);
  EXPECT_THAT(ToGrpcStatus(absl::InternalError(std::string(100000, 'x'))).error_message(),
              HasSubstr("xx..."));
}

TEST(GrpcStatusTest, KeepsCodeAndMessageOfPeersWithOtherDetails) {
  const grpc::Status foreign(grpc::StatusCode::UNAVAILABLE, "proxy says no", "\xff not a message");
  EXPECT_EQ(FromGrpcStatus(foreign), absl::UnavailableError("proxy says no"));
}

}  // namespace
}  // namespace dropbp
