// Settings of dropbp-worker, read from the command line once.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/base/status.h"
#include "core/security/tls_files.h"
#include "worker/data/job_data.h"

namespace dropbp::agent {

struct AgentOptions {
  std::string coordinator = "127.0.0.1:7070";  // host:port; loopback only without TLS
  TlsFiles tls;                                // none: plain text
  std::string tls_server_name;                 // that the coordinator's certificate must name
  std::string worker_id;                       // unique in the cluster; default: the host's name
  std::string models_dir = "models";           // folder of model folders; absolute once resolved
  std::string work_dir = "dropbp-work";        // caches, logs, results; absolute once resolved
  std::string device = "auto";                 // auto | cpu | cuda
  int slots = 0;                               // 0: one for each GPU; one on CPU
  int threads_per_slot = 0;                    // 0: usable CPUs / slots
  std::string trainer;                         // default: dropbp-trainer beside this program
  std::string metrics_listen;                  // Prometheus, HOST:PORT; empty: none
  bool metrics_off_loopback = false;           // whether that may be off loopback; it is plain HTTP
  std::string host_address = "127.0.0.1";      // where other nodes' trainers reach this node
  absl::Duration stop_grace =
      absl::Seconds(10);  // from SIGTERM of the agent to SIGKILL of trainers
};

// Settings of `dropbp-worker prepare`.
struct PrepareOptions {
  std::string model_dir;
  data::JobFiles files;
};

// What the command line asks for.
struct CommandLine {
  enum class Verb { kRun, kPrepare, kPrintMetrics, kExit };
  Verb verb = Verb::kRun;
  int exit_code = 0;  // of kExit: help or version was printed, or a mistake was told
  AgentOptions agent;
  PrepareOptions prepare;
};

CommandLine ParseCommandLine(int argc, char** argv);

// Fills in defaults that depend on the machine, makes paths absolute, and checks each setting.
// INVALID_ARGUMENT names the flag, what was found and what is legal.
absl::StatusOr<AgentOptions> ResolveOptions(AgentOptions options);

}  // namespace dropbp::agent
