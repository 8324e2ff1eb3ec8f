// Checks a job's model and data: the child's side. Reads files that strangers wrote.
#pragma once

#include <string>

#include "dropbp/v1/worker_gateway.pb.h"
#include "worker/agent/options.h"

namespace dropbp::agent {

// Reads config.json, checks that the weight files are whole, tokenises the data, and holds both
// against the spec. What is wrong comes as PrepareResult.error, in the user's words: the model by
// its name, files as "dataset", "validation file" and "dataset.mix file <SHA-256>".
v1::PrepareResult PrepareModelAndData(const v1::JobSpec& spec, const PrepareOptions& options);

// `dropbp-worker prepare`: JobSpec on stdin, PrepareResult on stdout, both serialised. The
// program's exit code.
int RunPrepare(const PrepareOptions& options);

}  // namespace dropbp::agent
