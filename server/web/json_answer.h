// Messages of the API as HTTP answers.
#pragma once

#include <google/protobuf/message.h>

#include "core/base/status.h"
#include "server/web/http_server.h"

namespace dropbp::server {

// The message as JSON with the names of its .proto file, like `dropbp get --output json`.
HttpResponse JsonAnswer(const google::protobuf::Message& message);

// A google.rpc.Status with its details, under the HTTP code that fits.
HttpResponse JsonError(const absl::Status& status);

template <typename Message>
HttpResponse JsonAnswerOf(const absl::StatusOr<Message>& result) {
  return result.ok() ? JsonAnswer(*result) : JsonError(result.status());
}

}  // namespace dropbp::server
