// A whole service of real processes in a temporary folder: dropbp-coordinator, dropbp-worker, and
// the trainers they start. Tests speak to it in a small language and never sleep: every wait is for
// an event, with a deadline.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/job_client.h"
#include "core/job/job_spec.h"
#include "tests/support/child_process.h"
#include "tests/support/processes.h"

namespace dropbp::testing {

struct ClusterOptions {
  int workers = 1;
  int slots = 2;              // of each worker; one thread each
  double lease_seconds = 15;  // of the coordinator
  int64_t plan_block_steps = 1024;
  double heartbeat_seconds = 3;
  bool metrics = false;  // whether coordinator and workers serve metrics
  // Coordinator, workers and clients talk mutual TLS; the tests' own client is an admin.
  bool tls = false;
  // Called before the workers start, to put more model folders there.
  std::function<void(const std::filesystem::path& models_dir)> add_models = [](const auto&) {};
};

inline constexpr absl::Duration kPatience = absl::Minutes(2);  // of every wait that names no other

// The models folder holds TinyModel() as "tiny". Not thread-safe.
class Cluster {
 public:
  // Returns when the coordinator serves and all workers are connected.
  static absl::StatusOr<std::unique_ptr<Cluster>> Start(const ClusterOptions& options = {});
  // Kills what still runs. The folder stays if the test failed; its name is printed then.
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  client::JobClient& client() { return *client_; }
  const std::string& address() const { return address_; }
  std::filesystem::path folder() const { return folder_; }
  std::filesystem::path models_dir() const { return folder_ / "models"; }
  std::filesystem::path data_dir() const { return folder_ / "data"; }
  std::filesystem::path work_dir(int worker) const;
  // HOST:PORT of the coordinator's and the workers' metrics, in this order; none without `metrics`.
  const std::vector<std::string>& metrics_addresses() const { return metrics_addresses_; }

  // Jobs. `jsonl` is the data set's content.
  absl::StatusOr<std::string> Submit(const JobSpec& spec, const std::string& jsonl,
                                     const std::string& job_id = "");
  absl::StatusOr<v1::Job> WaitForState(const std::string& job_id, v1::Job::State state);
  // Until that many optimizer steps of the current attempt are done.
  absl::StatusOr<v1::Job> WaitForStep(const std::string& job_id, int64_t step);
  absl::StatusOr<v1::Job> WaitForEnd(const std::string& job_id, absl::Duration timeout = kPatience);
  // All stored events, in order; for a job that has ended.
  absl::StatusOr<std::vector<v1::JobEvent>> Events(const std::string& job_id);
  absl::StatusOr<std::string> Log(const std::string& job_id, int rank);

  // Certificates of all roles, where TLS is used.
  std::filesystem::path certificates() const { return folder_ / "tls"; }

  // Deaths and returns. A coordinator comes back at the same address.
  void KillCoordinator();
  // SIGTERM. INTERNAL if it does not exit with 0 in time.
  absl::Status StopCoordinator(absl::Duration timeout);
  absl::Status StopWorker(int worker, absl::Duration timeout);
  absl::Status StartCoordinator();
  void KillWorker(int worker);
  absl::Status StartWorker(int worker);
  // Returns once every worker is connected.
  absl::Status WaitForWorkers();
  // Kills one trainer process; they are numbered in order of their start.
  absl::Status KillTrainer(int number);
  std::vector<FoundProcess> Trainers() const;
  // DEADLINE_EXCEEDED, with the processes that are left.
  absl::Status WaitForNoTrainers(absl::Duration timeout);

  // Runs a program with the cluster's address in DROPBP_COORDINATOR, and a user's certificate in
  // DROPBP_TLS_* where TLS is used; output goes to `<folder>/<name>.{out,err}`.
  absl::StatusOr<std::unique_ptr<ChildProcess>> RunProgram(const std::string& name,
                                                           std::vector<std::string> arguments);
  // Content of a file in the folder; empty if there is none.
  std::string FileContent(const std::string& name) const;

  // Ends everything in good order. INTERNAL if a program does not exit with 0 in time or leaves a
  // process behind.
  absl::Status StopAll();

 private:
  explicit Cluster(const ClusterOptions& options);
  absl::Status WriteConfig();
  absl::Status WaitForAddress();
  absl::StatusOr<v1::Job> WaitUntil(const std::string& job_id, absl::Duration timeout,
                                    const std::function<bool(const v1::JobEvent&)>& reached);
  absl::StatusOr<std::unique_ptr<client::JobClient>> MakeClient(client::StopToken& stop) const;
  ChildOptions Program(const std::string& name, std::vector<std::string> arguments) const;
  // The flags of a program that shows the certificate of `holder`; none without TLS.
  std::vector<std::string> TlsFlags(const std::string& holder) const;

  const ClusterOptions options_;
  const std::filesystem::path folder_;
  const std::string marker_;  // environment variable of every process of this cluster
  std::string address_;
  std::vector<std::string> metrics_addresses_;
  client::StopToken stop_;
  std::unique_ptr<client::JobClient> client_;
  std::unique_ptr<ChildProcess> coordinator_;
  std::vector<std::unique_ptr<ChildProcess>> workers_;
};

}  // namespace dropbp::testing
