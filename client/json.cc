#include "client/json.h"

#include "core/base/check.h"
#include "google/protobuf/util/json_util.h"

namespace dropbp::client {
namespace {

std::string ToJson(const google::protobuf::Message& message, bool indented) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  options.add_whitespace = indented;
  std::string json;
  DROPBP_CHECK(google::protobuf::util::MessageToJsonString(message, &json, options).ok());
  while (!json.empty() && json.back() == '\n') json.pop_back();
  return json;
}

}  // namespace

void PrintJson(const google::protobuf::Message& message, const Sink& sink) {
  sink.stream << ToJson(message, true) << '\n';
}

void PrintJsonLine(const google::protobuf::Message& message, const Sink& sink) {
  sink.stream << ToJson(message, false) << std::endl;
}

}  // namespace dropbp::client
