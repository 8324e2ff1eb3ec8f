// Cluster: its processes. What concerns jobs is in cluster_jobs.cc.
#include "tests/support/cluster.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <fstream>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "client/random_name.h"
#include "core/base/files.h"
#include "tests/support/certificates.h"
#include "tests/support/free_address.h"
#include "tests/support/poll_until.h"
#include "tests/support/test_data.h"

namespace dropbp::testing {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kStartTimeout = absl::Seconds(30);
constexpr absl::Duration kStopTimeout = absl::Seconds(30);

fs::path MakeFolder() {
  std::string pattern = (fs::path(::testing::TempDir()) / "dropbp-cluster-XXXXXX").string();
  return mkdtemp(pattern.data());
}

std::string Describe(const std::vector<FoundProcess>& processes) {
  return absl::StrJoin(processes, "\n", [](std::string* out, const FoundProcess& process) {
    absl::StrAppend(out, "  ", process.pid, " ", process.command_line);
  });
}

absl::Status ExpectExit0(ChildProcess& process, const std::string& name,
                         absl::Duration timeout = kStopTimeout) {
  ASSIGN_OR_RETURN(const ProcessEnd end, process.WaitForEnd(timeout));
  if (end.exit_code == 0) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat(name, " ended with exit code ", end.exit_code, ", signal ", end.signal));
}

}  // namespace

Cluster::Cluster(const ClusterOptions& options)
    : options_(options),
      folder_(MakeFolder()),
      marker_(absl::StrCat("DROPBP_TEST_CLUSTER=", client::RandomHex(16))),
      workers_(static_cast<size_t>(options.workers)) {}

absl::StatusOr<std::unique_ptr<Cluster>> Cluster::Start(const ClusterOptions& options) {
  ASSIGN_OR_RETURN(const std::string model, TinyModel());
  std::unique_ptr<Cluster> cluster(new Cluster(options));
  fs::create_directories(cluster->models_dir());
  fs::create_directory_symlink(model, cluster->models_dir() / "tiny");
  options.add_models(cluster->models_dir());
  for (int program = 0; options.metrics && program <= options.workers; ++program)
    cluster->metrics_addresses_.push_back(FreeAddress());
  if (options.tls) RETURN_IF_ERROR(MakeCertificates(cluster->certificates()));
  RETURN_IF_ERROR(cluster->WriteConfig());
  RETURN_IF_ERROR(cluster->StartCoordinator());
  for (int worker = 0; worker < options.workers; ++worker)
    RETURN_IF_ERROR(cluster->StartWorker(worker));
  RETURN_IF_ERROR(cluster->WaitForWorkers());
  return cluster;
}

Cluster::~Cluster() {
  for (auto& worker : workers_) worker.reset();
  coordinator_.reset();
  for (const FoundProcess& process : FindProcesses(marker_)) kill(process.pid, SIGKILL);
  if (::testing::Test::HasFailure()) {
    std::cerr << "logs of the cluster: " << folder_.string() << std::endl;
  } else {
    std::error_code error;
    fs::remove_all(folder_, error);
  }
}

fs::path Cluster::work_dir(int worker) const { return folder_ / absl::StrCat("work-", worker); }

absl::Status Cluster::WriteConfig() {
  return WriteFileAtomically((folder_ / "coordinator.yaml").string(),
                             absl::StrCat("lease_seconds: ", options_.lease_seconds,
                                          "\nheartbeat_seconds: ", options_.heartbeat_seconds,
                                          "\nplan_block_steps: ", options_.plan_block_steps, "\n"));
}

ChildOptions Cluster::Program(const std::string& name, std::vector<std::string> arguments) const {
  std::vector<std::string> environment = {marker_, absl::StrCat("DROPBP_COORDINATOR=", address_)};
  if (options_.tls) {
    const TlsFiles user = CertificateOf(certificates(), "user");
    environment.insert(
        environment.end(),
        {"DROPBP_TLS_CA=" + user.ca, "DROPBP_TLS_CERT=" + user.cert, "DROPBP_TLS_KEY=" + user.key});
  }
  return {.arguments = std::move(arguments),
          .output_path = (folder_ / absl::StrCat(name, ".out")).string(),
          .error_path = (folder_ / absl::StrCat(name, ".err")).string(),
          .environment = std::move(environment)};
}

std::vector<std::string> Cluster::TlsFlags(const std::string& holder) const {
  if (!options_.tls) return {};
  const TlsFiles files = CertificateOf(certificates(), holder);
  return {"--tls-ca", files.ca, "--tls-cert", files.cert, "--tls-key", files.key};
}

absl::StatusOr<std::unique_ptr<ChildProcess>> Cluster::RunProgram(
    const std::string& name, std::vector<std::string> arguments) {
  return ChildProcess::Start(Program(name, std::move(arguments)));
}

std::string Cluster::FileContent(const std::string& name) const {
  return ReadFile((folder_ / name).string(), int64_t{256} << 20).value_or("");
}

absl::Status Cluster::StartCoordinator() {
  const std::string port_file = (folder_ / "port").string();
  std::error_code error;
  fs::remove(port_file, error);
  std::vector<std::string> arguments = {
      RequiredEnvironment("DROPBP_BIN_DIR") + "/dropbp-coordinator",
      "--config",
      (folder_ / "coordinator.yaml").string(),
      "--listen",
      address_.empty() ? "127.0.0.1:0" : address_,
      "--metrics-listen",
      options_.metrics ? metrics_addresses_[0] : "",
      "--data-dir",
      data_dir().string(),
      "--port-file",
      port_file};
  for (std::string& flag : TlsFlags("coordinator")) arguments.push_back(std::move(flag));
  ASSIGN_OR_RETURN(coordinator_, RunProgram("coordinator", std::move(arguments)));
  return WaitForAddress();
}

absl::Status Cluster::WaitForAddress() {
  const bool served = PollUntil(kStartTimeout, [&] {
    address_ = FileContent("port");
    absl::StripTrailingAsciiWhitespace(&address_);
    return !address_.empty() || !coordinator_->Running();
  });
  if (!served || address_.empty()) {
    return absl::InternalError(
        absl::StrCat("dropbp-coordinator does not serve:\n", FileContent("coordinator.err")));
  }
  if (client_ == nullptr) {
    ASSIGN_OR_RETURN(client_, MakeClient(stop_));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<client::JobClient>> Cluster::MakeClient(
    client::StopToken& stop) const {
  client::JobClientSettings settings;
  settings.coordinator.address = address_;
  if (options_.tls) settings.coordinator.tls = CertificateOf(certificates(), "admin");
  settings.retry.give_up_after = kPatience;
  return client::JobClient::Open(settings, stop);
}

absl::Status Cluster::StartWorker(int worker) {
  std::vector<std::string> arguments = {RequiredEnvironment("DROPBP_BIN_DIR") + "/dropbp-worker",
                                        "--coordinator",
                                        address_,
                                        "--worker-id",
                                        absl::StrCat("worker-", worker),
                                        "--models-dir",
                                        models_dir().string(),
                                        "--work-dir",
                                        work_dir(worker).string(),
                                        "--device",
                                        "cpu",
                                        "--slots",
                                        absl::StrCat(options_.slots),
                                        "--threads-per-slot",
                                        "1",
                                        "--trainer",
                                        TrainerProgram()};
  if (options_.metrics) {
    arguments.insert(arguments.end(), {"--metrics-listen", metrics_addresses_[worker + 1]});
  }
  for (std::string& flag : TlsFlags("worker")) arguments.push_back(std::move(flag));
  ASSIGN_OR_RETURN(workers_[worker],
                   RunProgram(absl::StrCat("worker-", worker), std::move(arguments)));
  return absl::OkStatus();
}

absl::Status Cluster::WaitForWorkers() {
  int connected = 0;
  const bool all = PollUntil(kStartTimeout, [&] {
    const auto found = client_->ListWorkers();
    connected = 0;
    if (found.ok()) {
      for (const v1::Worker& worker : found->workers()) connected += worker.connected() ? 1 : 0;
    }
    return connected == options_.workers;
  });
  if (all) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(connected, " of ", options_.workers,
                                          " workers are connected:\n",
                                          FileContent("worker-0.err")));
}

void Cluster::KillCoordinator() { coordinator_->Kill(); }

absl::Status Cluster::StopCoordinator(absl::Duration timeout) {
  coordinator_->Signal(SIGTERM);
  return ExpectExit0(*coordinator_, "coordinator", timeout);
}

absl::Status Cluster::StopWorker(int worker, absl::Duration timeout) {
  workers_[worker]->Signal(SIGTERM);
  return ExpectExit0(*workers_[worker], absl::StrCat("worker-", worker), timeout);
}

void Cluster::KillWorker(int worker) { workers_[worker]->Kill(); }

std::vector<FoundProcess> Cluster::Trainers() const {
  std::vector<FoundProcess> trainers = FindProcesses(marker_);
  std::erase_if(trainers,
                [](const FoundProcess& process) { return process.program != "dropbp-trainer"; });
  return trainers;
}

absl::Status Cluster::KillTrainer(int number) {
  const std::vector<FoundProcess> trainers = Trainers();
  if (number >= static_cast<int>(trainers.size())) {
    return absl::NotFoundError(absl::StrCat("there are only ", trainers.size(), " trainers"));
  }
  kill(trainers[number].pid, SIGKILL);
  return absl::OkStatus();
}

absl::Status Cluster::WaitForNoTrainers(absl::Duration timeout) {
  if (PollUntil(timeout, [&] { return Trainers().empty(); })) return absl::OkStatus();
  return absl::DeadlineExceededError(absl::StrCat("trainers still run:\n", Describe(Trainers())));
}

absl::Status Cluster::StopAll() {
  for (size_t i = 0; i < workers_.size(); ++i) {
    RETURN_IF_ERROR(StopWorker(static_cast<int>(i), kStopTimeout));
  }
  RETURN_IF_ERROR(StopCoordinator(kStopTimeout));
  const std::vector<FoundProcess> left = FindProcesses(marker_);
  if (left.empty()) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("processes were left behind:\n", Describe(left)));
}

}  // namespace dropbp::testing
