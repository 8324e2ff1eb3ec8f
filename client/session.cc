#include "client/session.h"

#include "absl/strings/str_cat.h"
#include "client/errors.h"

namespace dropbp::client {

absl::StatusOr<std::unique_ptr<JobClient>> Session::Connect() {
  JobClientSettings settings;
  settings.address = options_.coordinator;
  settings.retry.give_up_after = absl::Seconds(options_.retry_seconds);
  settings.resume.give_up_after =
      std::max(settings.resume.give_up_after, settings.retry.give_up_after);
  settings.talk = [this](const std::string& text) { Say(text); };
  return JobClient::Open(std::move(settings), stop_);
}

void Session::SuggestNext(const std::string& command) const {
  Say(absl::StrCat("next: ", command));
}

void Session::Say(const std::string& text) const { err().stream << text << std::endl; }

void Session::Run(const std::function<absl::StatusOr<ExitCode>()>& command) {
  const absl::StatusOr<ExitCode> result = command();
  if (result.ok()) {
    exit_code_ = *result;
    return;
  }
  PrintError(result.status(), options_.coordinator, err());
  exit_code_ = ExitCodeOf(result.status());
}

}  // namespace dropbp::client
