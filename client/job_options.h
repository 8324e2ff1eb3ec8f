// The options with which a person names a job to send; the same for every command that takes one.
#pragma once

#include <CLI/CLI.hpp>

#include "client/job_input.h"

namespace dropbp::client {

// Adds -f, --dataset, --validation-dataset and --set, which fill `arguments` when the command line
// is parsed. Returns -f, which is required.
CLI::Option* AddJobOptions(CLI::App& command, JobArguments& arguments);

}  // namespace dropbp::client
