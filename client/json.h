// Messages as protobuf JSON, with the field names of the .proto files and unset fields shown with
// their defaults.
#pragma once

#include <string>

#include "client/console.h"
#include "google/protobuf/message.h"

namespace dropbp::client {

// Indented, ended by a newline.
void PrintJson(const google::protobuf::Message& message, const Sink& sink);
// On one line, ended by a newline, flushed.
void PrintJsonLine(const google::protobuf::Message& message, const Sink& sink);

}  // namespace dropbp::client
