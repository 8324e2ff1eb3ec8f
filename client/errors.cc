#include "client/errors.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "absl/types/optional.h"
#include "proto/support/grpc_status.h"

namespace dropbp::client {
namespace {

constexpr absl::string_view kNextStepUrl = "dropbp.client/next_step";

std::string NextStep(const absl::Status& status) {
  if (absl::optional<absl::Cord> command = status.GetPayload(kNextStepUrl))
    return std::string(*command);
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
      return "dropbp-coordinator (starts one), or give another address: --coordinator HOST:PORT or "
             "DROPBP_COORDINATOR; --tls-ca, --tls-cert and --tls-key if it uses TLS";
    case absl::StatusCode::kNotFound:
      return "dropbp list";
    default:
      return "";
  }
}

std::string Sentence(const absl::Status& status, const std::string& coordinator) {
  const std::string message(status.message());
  if (absl::IsUnavailable(status)) {
    // gRPC wraps the reason in several layers; the innermost one is for people.
    const size_t innermost = message.rfind(": ");
    return absl::StrCat("no coordinator answers at ", coordinator, " (",
                        innermost == std::string::npos ? message : message.substr(innermost + 2),
                        ")");
  }
  if (absl::IsCancelled(status)) return "stopped by the user";
  return message.empty() ? absl::StatusCodeToString(status.code()) : message;
}

}  // namespace

absl::Status WithNextStep(absl::Status status, absl::string_view command) {
  if (!status.ok()) status.SetPayload(kNextStepUrl, absl::Cord(command));
  return status;
}

void PrintError(const absl::Status& status, const std::string& coordinator, const Sink& sink) {
  const std::vector<FieldViolation> violations = ViolationsOf(status);
  sink.stream << sink.Paint(Colour::kRed, "error:") << ' ';
  if (violations.empty()) {
    sink.stream << absl::StrReplaceAll(Sentence(status, coordinator), {{"\n", "\n  "}}) << '\n';
  } else {
    sink.stream << "the job breaks " << (violations.size() == 1 ? "a rule" : "these rules")
                << ":\n";
    for (const FieldViolation& violation : violations) {
      absl::string_view field = violation.field;
      absl::ConsumePrefix(&field, "spec.");  // as the job file names it
      sink.stream << "  " << field << ": " << violation.description << '\n';
    }
  }
  const std::string next = NextStep(status);
  if (!next.empty()) sink.stream << "next: " << next << '\n';
  sink.stream.flush();
}

}  // namespace dropbp::client
