// The trainer's door to its agent, and through it to the coordinator, in plain C++: this header is
// the border between the torch island and protobuf. The gRPC side is link/grpc_link.cc; MemoryLink
// is the in-memory twin.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/base/status.h"
#include "core/job/job_spec.h"
#include "core/plan/drop_plan.h"
#include "core/plan/mask_plan.h"

namespace dropbp::trainer {

// Everything a trainer needs to begin; the fields of dropbp.v1.Assignment.
struct Assignment {
  std::string job_id;
  int attempt = 0;
  int rank = 0;
  int world_size = 1;
  JobSpec spec;
  std::string model_dir;
  std::string dataset_path;
  std::map<std::string, std::string> mix_paths;  // files of dataset.mix by SHA-256
  std::string output_dir;
  std::string device = "cpu";  // cpu | cuda:<index>
  int threads = 1;
  std::string host_address = "127.0.0.1";
  std::string checkpoint_dir;   // what to go on from; empty: begin at step 0
  std::string validation_path;  // held-out samples; empty: there is no such file
  std::string init_dir;         // what an earlier job trained, to begin from; empty: fresh values
};

// One optimizer step; the fields of dropbp.v1.StepReport.
struct StepReport {
  int64_t step = 0;
  double loss = 0;
  double learning_rate = 0;
  double grad_norm = 0;
  int64_t tokens = 0;
  int64_t supervised_tokens = 0;
  double backward_flops_done = 0;
  double backward_flops_saved = 0;
  int64_t gradient_bytes_sent = 0;
  int64_t gradient_bytes_dense = 0;
  double step_seconds = 0;
  double data_seconds = 0;
  double forward_seconds = 0;
  double backward_seconds = 0;
  double all_reduce_seconds = 0;
  double optimizer_seconds = 0;
  int64_t peak_memory_bytes = 0;
  uint64_t mask_hash = 0;
  int32_t plan_version = 0;
};

// Gradient norms of the sensitivity probe; the fields of dropbp.v1.ProbeReport.
struct ProbeReport {
  int64_t step = 0;
  std::vector<double> base_norms;
  struct UnitNorms {
    int unit = 0;
    std::vector<double> norms;
  };
  std::vector<UnitNorms> units;
  double seconds = 0;
};

// What the model did on held-out samples; the fields of dropbp.v1.Evaluation.
struct EvaluationReport {
  int64_t step = 0;               // optimizer steps done
  double loss = 0;                // mean over the supervised tokens; 0 without held-out samples
  int64_t supervised_tokens = 0;  // of the held-out samples
  double seconds = 0;
  struct Answer {
    std::string prompt;
    std::string text;
  };
  std::vector<Answer> answers;
};

// A rank's share of a job's progress: sums over all steps that led here.
struct TrainingTotals {
  double backward_flops_done = 0;
  double backward_flops_saved = 0;
  // Of rank 0; its loss, rate and norm are those of the newest step.
  int64_t gradient_bytes_sent = 0;
  int64_t gradient_bytes_dense = 0;
  int64_t tokens = 0;
  double loss = 0;
  double learning_rate = 0;
  double grad_norm = 0;
};

// The rank's part of a checkpoint; the fields of dropbp.v1.TrainerCheckpoint.
struct CheckpointReport {
  int64_t step = 0;   // optimizer steps done
  std::string file;   // in the folder checkpoints/ of the output folder; empty: there is none
  std::string error;  // why there is none
  TrainingTotals totals;
};

// What the agent wants of a trainer, the stronger wish last.
enum class StopRequest { kNone = 0, kStop = 1, kSaveAndStop = 2 };

enum class FailureKind { kRetryable = 1, kUserError = 2, kInternal = 3 };

// The rendezvous store of one attempt, with the semantics of c10d::Store. Thread-safe. Errors:
// DEADLINE_EXCEEDED, UNAVAILABLE once the link is gone.
class RendezvousStore {
 public:
  virtual ~RendezvousStore() = default;
  virtual absl::Status Set(const std::string& key, const std::string& value) = 0;
  // Waits until the key exists.
  virtual absl::StatusOr<std::string> Get(const std::string& key, absl::Duration timeout) = 0;
  virtual absl::StatusOr<int64_t> Add(const std::string& key, int64_t delta) = 0;
  virtual absl::StatusOr<bool> Check(const std::vector<std::string>& keys) = 0;
  virtual absl::Status Wait(const std::vector<std::string>& keys, absl::Duration timeout) = 0;
  virtual absl::StatusOr<bool> Delete(const std::string& key) = 0;
  virtual absl::StatusOr<std::string> CompareSet(const std::string& key,
                                                 const std::string& expected,
                                                 const std::string& value) = 0;
};

// The link. Thread-safe. Reports never block on the coordinator: they are queued and sent in order.
class CoordinatorLink {
 public:
  virtual ~CoordinatorLink() = default;

  virtual const Assignment& assignment() const = 0;
  virtual std::shared_ptr<RendezvousStore> store() = 0;

  virtual void ReportReady(int64_t first_step, int64_t total_steps) = 0;
  virtual void ReportStep(const StepReport& report) = 0;
  virtual void ReportProbe(const ProbeReport& report) = 0;
  // The rank's own draw of a plan, which the coordinator compares with its own.
  virtual void ReportPlan(const DropPlan& plan) = 0;
  // The rank's part of a checkpoint is written, or could not be.
  virtual void ReportCheckpoint(const CheckpointReport& report) = 0;
  // The last word of a trainer that gives up.
  virtual void ReportFailure(FailureKind kind, const std::string& message) = 0;
  virtual void ReportEvaluation(const EvaluationReport& report) = 0;
  // The last word of a trainer that is done; returns when the agent has taken it. `early_stop`: why
  // it ended before the last step; empty if it did not.
  virtual absl::Status ReportFinished(int64_t steps, const std::vector<std::string>& files,
                                      const std::string& early_stop) = 0;

  // Mask blocks received since the last call, oldest first.
  virtual std::vector<MaskBlock> TakeMaskBlocks() = 0;
  // What the agent asked for, from then on; the training loop ends after the current step, or the
  // current batch of an evaluation.
  virtual StopRequest stop_request() const = 0;
};

// Connects to the agent's Unix socket and receives the assignment. When the agent goes away later,
// the process ends with exit code 3: a trainer never outlives its agent.
absl::StatusOr<std::unique_ptr<CoordinatorLink>> ConnectToAgent(const std::string& socket_path,
                                                                const std::string& token);

// An in-memory rendezvous store that several ranks (threads) of one process share.
std::shared_ptr<RendezvousStore> MakeMemoryStore();

// A link that leads nowhere: keeps reports for inspection, for tests and for training without a
// service.
class MemoryLink : public CoordinatorLink {
 public:
  MemoryLink(Assignment assignment, std::shared_ptr<RendezvousStore> store)
      : assignment_(std::move(assignment)), store_(std::move(store)) {}
  const Assignment& assignment() const override { return assignment_; }
  std::shared_ptr<RendezvousStore> store() override { return store_; }
  void ReportReady(int64_t first_step, int64_t total) override {
    first_step_ = first_step;
    total_steps_ = total;
  }
  void ReportStep(const StepReport& report) override { steps.push_back(report); }
  void ReportProbe(const ProbeReport& report) override { probes.push_back(report); }
  void ReportPlan(const DropPlan& plan) override { plans.push_back(plan); }
  void ReportCheckpoint(const CheckpointReport& report) override { checkpoints.push_back(report); }
  void ReportFailure(FailureKind, const std::string& message) override {
    failures.push_back(message);
  }
  void ReportEvaluation(const EvaluationReport& report) override { evaluations.push_back(report); }
  absl::Status ReportFinished(int64_t, const std::vector<std::string>& files,
                              const std::string&) override {
    finished_files = files;
    return absl::OkStatus();
  }
  std::vector<MaskBlock> TakeMaskBlocks() override { return std::exchange(mask_blocks, {}); }
  StopRequest stop_request() const override { return stop; }

  std::vector<StepReport> steps;
  std::vector<ProbeReport> probes;
  std::vector<DropPlan> plans;
  std::vector<CheckpointReport> checkpoints;  // by the trainer's writing thread
  std::vector<EvaluationReport> evaluations;
  std::vector<std::string> failures;
  std::vector<std::string> finished_files;
  std::vector<MaskBlock> mask_blocks;  // what TakeMaskBlocks returns next
  StopRequest stop = StopRequest::kNone;

 private:
  Assignment assignment_;
  std::shared_ptr<RendezvousStore> store_;
  int64_t first_step_ = 0;
  int64_t total_steps_ = 0;
};

}  // namespace dropbp::trainer
