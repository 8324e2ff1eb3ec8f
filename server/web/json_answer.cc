#include "server/web/json_answer.h"

#include <google/protobuf/util/json_util.h>

#include "core/base/check.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "proto/support/grpc_status.h"

namespace dropbp::server {
namespace {

constexpr char kJson[] = "application/json; charset=utf-8";

std::string ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  DROPBP_CHECK(google::protobuf::util::MessageToJsonString(message, &json, options).ok());
  return json;
}

int HttpCode(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
      return 400;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kUnavailable:
      return 503;
    default:
      return 500;
  }
}

}  // namespace

HttpResponse JsonAnswer(const google::protobuf::Message& message) {
  return {.code = 200, .content_type = kJson, .body = ToJson(message)};
}

HttpResponse JsonError(const absl::Status& status) {
  const grpc::Status wire = ToGrpcStatus(status);
  google::rpc::Status error;
  if (!error.ParseFromString(wire.error_details())) error.Clear();
  error.set_code(wire.error_code());
  error.set_message(wire.error_message());
  return {.code = HttpCode(status.code()), .content_type = kJson, .body = ToJson(error)};
}

}  // namespace dropbp::server
