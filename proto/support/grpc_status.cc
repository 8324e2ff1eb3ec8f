#include "proto/support/grpc_status.h"

#include <google/protobuf/any.pb.h>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "core/base/text.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace dropbp {
namespace {

constexpr absl::string_view kErrorInfoUrl = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr absl::string_view kBadRequestUrl = "type.googleapis.com/google.rpc.BadRequest";
constexpr char kDomain[] = "dropbp";

// Note [Size on the wire]: message and details travel in trailers, of which gRPC peers take 8 KiB
// by default. The message goes twice (itself percent-encoded, and in the details) and the details
// in base64, so these two keep the sum below.
constexpr size_t kMaxMessageBytes = 700;
constexpr size_t kMaxBadRequestBytes = 4300;

template <typename Message>
absl::Status WithDetail(absl::Status status, absl::string_view url, const Message& detail) {
  if (!status.ok()) status.SetPayload(url, absl::Cord(detail.SerializeAsString()));
  return status;
}

template <typename Message>
Message DetailOf(const absl::Status& status, absl::string_view url) {
  Message detail;
  if (const auto payload = status.GetPayload(url)) {
    if (!detail.ParseFromString(std::string(*payload))) detail.Clear();
  }
  return detail;
}

// Printable ASCII but '%' takes one byte in a grpc-message, everything else three.
size_t PercentEncodedBytes(std::string_view text) {
  size_t bytes = 0;
  for (unsigned char c : text) bytes += c >= 0x20 && c <= 0x7e && c != '%' ? 1 : 3;
  return bytes;
}

std::string FitMessage(std::string_view message) {
  std::string fit = ToValidUtf8(message);
  for (size_t limit = kMaxMessageBytes; PercentEncodedBytes(fit) > kMaxMessageBytes;
       limit = limit * 3 / 4) {
    fit = Shortened(fit, limit);
  }
  return fit;
}

void AddViolation(std::string_view field, std::string_view description,
                  google::rpc::BadRequest& request) {
  auto* violation = request.add_field_violations();
  violation->set_field(ToValidUtf8(field));
  violation->set_description(ToValidUtf8(description));
}

// As many violations as fit, and a last one that counts the others.
google::rpc::BadRequest FitViolations(absl::Span<const FieldViolation> violations) {
  google::rpc::BadRequest request;
  for (size_t i = 0; i < violations.size(); ++i) {
    AddViolation(violations[i].field, violations[i].description, request);
    if (request.ByteSizeLong() > kMaxBadRequestBytes) {
      request.mutable_field_violations()->RemoveLast();
      AddViolation("", absl::StrCat("and ", violations.size() - i, " more"), request);
      break;
    }
  }
  return request;
}

}  // namespace

absl::Status WithReason(absl::Status status, std::string_view reason,
                        const ErrorMetadata& metadata) {
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_domain(kDomain);
  info.mutable_metadata()->insert(metadata.begin(), metadata.end());
  return WithDetail(std::move(status), kErrorInfoUrl, info);
}

std::string ReasonOf(const absl::Status& status) {
  return DetailOf<google::rpc::ErrorInfo>(status, kErrorInfoUrl).reason();
}

ErrorMetadata MetadataOf(const absl::Status& status) {
  const auto info = DetailOf<google::rpc::ErrorInfo>(status, kErrorInfoUrl);
  return {info.metadata().begin(), info.metadata().end()};
}

absl::Status InvalidFields(absl::Span<const FieldViolation> violations) {
  const absl::Status status =
      WithReason(absl::InvalidArgumentError(DescribeViolations(violations)), "INVALID_JOB");
  return WithDetail(status, kBadRequestUrl, FitViolations(violations));
}

std::vector<FieldViolation> ViolationsOf(const absl::Status& status) {
  std::vector<FieldViolation> violations;
  const auto request = DetailOf<google::rpc::BadRequest>(status, kBadRequestUrl);
  for (const auto& violation : request.field_violations()) {
    violations.push_back({violation.field(), violation.description()});
  }
  return violations;
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const std::string message = FitMessage(StdView(status.message()));
  google::rpc::Status wire;
  wire.set_code(static_cast<int>(status.code()));
  wire.set_message(message);
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    google::protobuf::Any* detail = wire.add_details();
    detail->set_type_url(std::string(url));
    detail->set_value(std::string(payload));
  });
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message,
                      wire.SerializeAsString());
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  google::rpc::Status wire;
  // Details that are no google.rpc.Status come from something between; code and message still hold.
  if (wire.ParseFromString(status.error_details())) {
    for (const google::protobuf::Any& detail : wire.details()) {
      result.SetPayload(detail.type_url(), absl::Cord(detail.value()));
    }
  }
  return result;
}

}  // namespace dropbp
