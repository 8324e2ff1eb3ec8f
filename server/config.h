// Settings of dropbp-coordinator: a YAML file, then flags over it. Read and checked once, at the
// start.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/status.h"
#include "core/security/tls_files.h"

namespace dropbp::server {

struct CoordinatorConfig {
  std::string listen = "127.0.0.1:7070";          // gRPC, for clients and workers
  std::string metrics_listen = "127.0.0.1:7071";  // HTTP: page and metrics; empty: none
  bool metrics_off_loopback = false;              // whether metrics_listen may be; it is plain HTTP
  TlsFiles tls;                                   // of gRPC: tls_ca, tls_cert, tls_key
  std::string data_dir = "dropbp-data";           // jobs, artifacts, logs
  std::string port_file;                          // written with the gRPC address once it serves
  bool reflection = false;                        // gRPC reflection
  std::string log_level = "info";                 // debug | info | warning | error
  double lease_seconds = 15;                      // a worker not heard for so long is lost
  double heartbeat_seconds = 3;                   // what workers are asked for
  double stall_seconds = 60;                      // a step may always take this long
  double stall_factor = 10;                       // ... or this many median steps
  double start_timeout_seconds = 600;             // from the start of an attempt to its first step
  int64_t plan_block_steps = 1024;                // of one broadcast block of masks, at most
  int64_t log_limit_bytes = int64_t{64} << 20;    // of one rank in one attempt
  int64_t artifact_limit_bytes = int64_t{64} << 30;  // of one uploaded file
};

// Sets the keys of a YAML map. INVALID_ARGUMENT lists every problem as "<source>:<line>: <key>:
// found ..., legal is ...".
absl::Status ReadConfig(std::string_view yaml, const std::string& source,
                        CoordinatorConfig& config);

// INVALID_ARGUMENT for values out of range, for a listen address off loopback without TLS (plain
// text stays on the machine), and for one of metrics that was not allowed.
absl::Status CheckConfig(const CoordinatorConfig& config);

// Configuration of a command line. A second value tells main to exit with that code at once
// (--help, --version, a wrong flag), after the text was printed.
struct ParsedArguments {
  CoordinatorConfig config;
  int exit_code = -1;  // -1: go on
};
absl::StatusOr<ParsedArguments> ParseArguments(int argc, char** argv);

}  // namespace dropbp::server
