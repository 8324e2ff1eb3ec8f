#include "client/session.h"

#include "absl/strings/str_cat.h"
#include "client/errors.h"

namespace dropbp::client {

absl::StatusOr<std::unique_ptr<JobClient>> Session::Connect() {
  JobClientSettings settings;
  settings.coordinator = options_.coordinator;
  settings.retry.give_up_after = absl::Seconds(options_.retry_seconds);
  settings.resume.give_up_after =
      std::max(settings.resume.give_up_after, settings.retry.give_up_after);
  settings.talk = [this](const std::string& text) { Say(text); };
  return JobClient::Open(std::move(settings), stop_);
}

void Session::SuggestNext(const std::string& command) const {
  Say(absl::StrCat("next: ", command));
}

void Session::Say(const std::string& text) const {
  before_talk_();
  err().stream << text << std::endl;
}

// A certificate that the other side refuses looks like a coordinator that is not there.
absl::Status Session::WithTlsHint(const absl::Status& status) const {
  const TlsFiles& tls = options_.coordinator.tls;
  if (!absl::IsUnavailable(status) || !tls.given()) return status;
  return WithNextStep(
      status,
      absl::StrCat("openssl s_client -brief -connect ", options_.coordinator.address, " -CAfile ",
                   tls.ca, " -cert ", tls.cert, " -key ", tls.key, "   (shows what TLS says)"));
}

void Session::Run(const std::function<absl::StatusOr<ExitCode>()>& command) {
  const absl::StatusOr<ExitCode> result = command();
  if (result.ok()) {
    exit_code_ = *result;
    return;
  }
  PrintError(WithTlsHint(result.status()), options_.coordinator.address, err());
  exit_code_ = ExitCodeOf(result.status());
}

}  // namespace dropbp::client
