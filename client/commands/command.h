// What the commands have in common in how they are added to the command line.
#pragma once

#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "client/session.h"

namespace dropbp::client {

// Adds a command with its options struct. `body` runs when the command was chosen, with the options
// as parsed. Returns the command, and in `options` where its options are to be bound.
template <typename Options>
CLI::App* AddCommand(CLI::App& app, Session& session, const std::string& name,
                     const std::string& meaning, const std::string& examples,
                     absl::StatusOr<ExitCode> (*body)(Session&, const Options&),
                     std::shared_ptr<Options>& options) {
  options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(name, meaning);
  command->footer("Examples:\n" + examples +
                  "\nAlso: --coordinator, --output table|json, --retry-seconds; see dropbp --help");
  command->callback(
      [&session, body, options] { session.Run([&] { return body(session, *options); }); });
  return command;
}

// Options of a command that takes nothing but a job.
struct JobOptions {
  std::string job_id;
};

inline void AddJobArgument(CLI::App* command, std::string& job_id) {
  command->add_option("JOB", job_id, "The job's id")->required();
}

}  // namespace dropbp::client
