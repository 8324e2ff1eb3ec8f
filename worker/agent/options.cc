#include "worker/agent/options.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <climits>
#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/security/address.h"

namespace dropbp::agent {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxWorkerIdLength = 63;

std::string DefaultWorkerId() {
  char name[HOST_NAME_MAX + 1] = {};
  if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0') return "worker";
  return absl::AsciiStrToLower(name);
}

bool IsLegalWorkerId(const std::string& id) {
  if (id.empty() || id.size() > kMaxWorkerIdLength || !absl::ascii_isalnum(id[0])) return false;
  for (const char c : id) {
    if (!absl::ascii_islower(c) && !absl::ascii_isdigit(c) && c != '-' && c != '.' && c != '_') {
      return false;
    }
  }
  return true;
}

absl::Status Illegal(const char* flag, const std::string& found, const char* legal) {
  return absl::InvalidArgumentError(absl::StrCat(flag, ": found '", found, "', legal is ", legal));
}

fs::path FolderOfThisProgram() {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error).parent_path();
}

absl::Status CheckNames(const AgentOptions& options) {
  if (!IsLegalWorkerId(options.worker_id)) {
    return Illegal("--worker-id", options.worker_id,
                   "1 to 63 of a-z, 0-9, '-', '_' and '.', beginning with a letter or digit");
  }
  return CheckTlsRule(options.tls, "--coordinator", options.coordinator, TlsSpelling::kFlag);
}

absl::Status CheckMetricsAddress(const AgentOptions& options) {
  const std::string& address = options.metrics_listen;
  if (address.empty()) return absl::OkStatus();
  if (!PortOf(address)) return Illegal("--metrics-listen", address, "HOST:PORT");
  if (options.metrics_off_loopback || IsLoopbackAddress(address)) return absl::OkStatus();
  return Illegal("--metrics-listen", address,
                 "an address on this machine: everybody may read what is served there; where a "
                 "network policy guards it, add --metrics-off-loopback");
}

absl::Status CheckFolders(const AgentOptions& options) {
  if (!fs::is_directory(options.models_dir)) {
    return Illegal("--models-dir", options.models_dir,
                   "a folder that holds model folders, each with a config.json");
  }
  if (access(options.trainer.c_str(), X_OK) != 0 || fs::is_directory(options.trainer)) {
    return Illegal("--trainer", options.trainer, "the path of the program dropbp-trainer");
  }
  return absl::OkStatus();
}

void AddAgentFlags(CLI::App& app, AgentOptions& options, double& stop_grace_seconds) {
  app.add_option("--coordinator", options.coordinator, "Address of the coordinator, HOST:PORT")
      ->capture_default_str();
  app.add_option("--tls-ca", options.tls.ca,
                 "PEM file of the authorities that the coordinator is trusted by");
  app.add_option("--tls-cert", options.tls.cert, "PEM file of this worker's certificate");
  app.add_option("--tls-key", options.tls.key, "PEM file of its private key");
  app.add_option("--tls-server-name", options.tls_server_name,
                 "Name that the coordinator's certificate must hold (default: the dialled host)");
  app.add_option("--worker-id", options.worker_id,
                 "Name of this worker, unique in the cluster (default: the host's name)");
  app.add_option("--models-dir", options.models_dir, "Folder that holds the model folders")
      ->capture_default_str();
  app.add_option("--work-dir", options.work_dir, "Folder for caches, logs and results")
      ->capture_default_str();
  app.add_option("--device", options.device, "Kind of device slots: auto takes GPUs where found")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  app.add_option("--slots", options.slots,
                 "Number of trainers at a time (default: the number of GPUs; 1 on CPU)")
      ->check(CLI::Range(1, 1024));
  app.add_option("--threads-per-slot", options.threads_per_slot,
                 "CPU threads of each trainer (default: CPUs that may be used / slots)")
      ->check(CLI::Range(1, 4096));
  app.add_option("--trainer", options.trainer,
                 "Program to start (default: dropbp-trainer beside this program)");
  app.add_option("--host-address", options.host_address,
                 "Address at which other nodes' trainers reach this node")
      ->capture_default_str();
  app.add_option("--metrics-listen", options.metrics_listen,
                 "Address for Prometheus to scrape, HOST:PORT (default: none)");
  app.add_flag("--metrics-off-loopback", options.metrics_off_loopback,
               "Let metrics, which are plain HTTP, listen off loopback");
  app.add_option("--stop-grace", stop_grace_seconds,
                 "Seconds that trainers have to end when the worker is stopped")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
}

}  // namespace

CommandLine ParseCommandLine(int argc, char** argv) {
  CommandLine line;
  double stop_grace_seconds = absl::ToDoubleSeconds(line.agent.stop_grace);
  CLI::App app("Worker agent of a DropBP cluster: offers this machine's devices to a coordinator.",
               "dropbp-worker");
  app.set_version_flag("--version", "dropbp-worker " DROPBP_VERSION);
  app.footer("Example: dropbp-worker --coordinator 127.0.0.1:7070 --device cpu --slots 2");
  AddAgentFlags(app, line.agent, stop_grace_seconds);
  bool print_metrics = false;
  app.add_flag("--print-metrics", print_metrics,
               "Print the table of the metrics that this program exposes, in Markdown, and end");
  CLI::App* prepare = app.add_subcommand(
      "prepare", "Check a model and a data set: JobSpec on stdin, PrepareResult on stdout");
  prepare->add_option("--model-dir", line.prepare.model_dir, "Model folder")->required();
  prepare->add_option("--dataset", line.prepare.files.dataset, "Data file")->required();
  prepare->add_option("--validation", line.prepare.files.validation, "File of held-out samples");
  std::vector<std::string> mix;
  prepare->add_option("--mix", mix, "File of dataset.mix, named by its SHA-256");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    line.verb = CommandLine::Verb::kExit;
    line.exit_code = app.exit(error) == 0 ? 0 : 2;
    return line;
  }
  line.agent.stop_grace = absl::Seconds(stop_grace_seconds);
  for (const std::string& path : mix)
    line.prepare.files.mix[fs::path(path).filename().string()] = path;
  if (prepare->parsed()) line.verb = CommandLine::Verb::kPrepare;
  if (print_metrics) line.verb = CommandLine::Verb::kPrintMetrics;
  return line;
}

absl::StatusOr<AgentOptions> ResolveOptions(AgentOptions options) {
  if (options.worker_id.empty()) options.worker_id = DefaultWorkerId();
  if (options.trainer.empty()) options.trainer = FolderOfThisProgram() / "dropbp-trainer";
  options.trainer = fs::absolute(options.trainer).lexically_normal();
  options.models_dir = fs::absolute(options.models_dir).lexically_normal();
  options.work_dir = fs::absolute(options.work_dir).lexically_normal();
  RETURN_IF_ERROR(CheckNames(options));
  RETURN_IF_ERROR(CheckMetricsAddress(options));
  RETURN_IF_ERROR(CheckFolders(options));
  RETURN_IF_ERROR(CheckTlsFiles(options.tls, absl::Now()));
  return options;
}

}  // namespace dropbp::agent
