// dropbp-trainer: trains one rank of a job for its agent, or generates and evaluates for a person.
#include <CLI/CLI.hpp>

#include "worker/trainer/verbs/verbs.h"

int main(int argc, char** argv) {
  CLI::App app("Trains one rank of a DropBP job; started by dropbp-worker.");
  app.set_version_flag("--version", DROPBP_VERSION);
  app.require_subcommand(1);

  std::string socket_path;
  CLI::App* run = app.add_subcommand("run", "Train for the agent that listens on a Unix socket.");
  run->add_option("--socket", socket_path, "Path of the socket")->required();

  CLI11_PARSE(app, argc, argv);
  return dropbp::trainer::RunVerb(socket_path);
}
