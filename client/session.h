// What every command has at hand: the options before the command, the console, and how a command
// fails.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "client/console.h"
#include "client/exit_code.h"
#include "client/interrupt.h"
#include "client/job_client.h"

namespace dropbp::client {

struct GlobalOptions {
  CoordinatorEndpoint coordinator;
  std::string output = "table";  // table | json
  double retry_seconds = 10;     // how long calls are tried again while the coordinator is away
};

class Session {
 public:
  explicit Session(Console console) : console_(console) {}

  GlobalOptions& options() { return options_; }
  const Sink& out() const { return console_.out; }
  const Sink& err() const { return console_.err; }
  bool json() const { return options_.output == "json"; }
  StopToken& stop() { return stop_; }

  // Fails as OpenChannel does; nothing is sent yet.
  absl::StatusOr<std::unique_ptr<JobClient>> Connect();

  // One line of talk: "next: `command`".
  void SuggestNext(const std::string& command) const;
  // One line of talk.
  void Say(const std::string& text) const;
  // Calls `before_talk` before each line of talk, for as long as the command draws on the terminal.
  void OnTalk(std::function<void()> before_talk) { before_talk_ = std::move(before_talk); }

  // Runs a command, prints its error if it has one, and keeps its exit code.
  void Run(const std::function<absl::StatusOr<ExitCode>()>& command);
  ExitCode exit_code() const { return exit_code_; }

 private:
  absl::Status WithTlsHint(const absl::Status& status) const;

  Console console_;
  GlobalOptions options_;
  StopToken stop_;
  std::function<void()> before_talk_ = [] {};
  ExitCode exit_code_ = ExitCode::kOk;
};

}  // namespace dropbp::client
