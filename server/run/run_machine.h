// The run state machine: what one event does to one job. Pure: it reads a run and returns the run
// as it will be, what must be made durable, and what must be told to the gang. Whoever calls it
// stores first and acts afterwards, so an attempt that was started is always known to the store,
// and a failed write leaves everything as it was.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "core/job/evaluation_schedule.h"
#include "core/job/job_spec.h"
#include "core/job/job_state.h"
#include "dropbp/v1/jobs.pb.h"
#include "dropbp/v1/worker_gateway.pb.h"
#include "server/run/cause_search.h"
#include "server/store/job_store.h"

namespace dropbp::server {

// A job that has not ended, and its gang.
struct Run {
  v1::Job job;
  JobSpec spec;
  std::optional<v1::ModelShape> shape;  // set once the model and data are checked
  std::vector<Placement> ranks;         // of the current attempt, by rank, until the gang is gone
  CauseSearch cause_search;             // open while the gang is broken and the cause not known

  JobState state() const { return static_cast<JobState>(job.state()); }
  // Whether the gang is meant to train: STARTING or RUNNING.
  bool Active() const;
  // Whether no process of the gang can be alive any more.
  bool GangGone() const;
  // When the gang evaluates.
  EvaluationSchedule Evaluations() const;
  // Whether an evaluation has ended the job: only results are to come.
  bool StoppedEarly() const;
};

// What can happen to a run.
struct PreparationStarted {
  std::string worker_id;
};
struct PreparationSucceeded {
  v1::DatasetReport report;
  v1::ModelShape shape;
  v1::DropPlan plan;
  int64_t total_steps = 0;
};
// A check that cannot be repeated with another result.
struct PreparationFailed {
  std::string error;
};
// Back into the queue: the check is to be repeated, or it passed and devices are awaited.
struct Requeued {
  std::string why;
};
// The scheduler found slots for every rank; begins the next attempt.
struct Placed {
  std::vector<Placement> ranks;
  v1::DropPlan plan;
  std::optional<v1::Checkpoint> checkpoint;  // what it goes on from
};
struct GangReady {};
struct PlanChanged {
  v1::DropPlan plan;
  std::string message;
  std::optional<v1::Sensitivities> sensitivities;  // if a probe brought it about
};
// The model was evaluated.
struct Evaluated {
  v1::JobProgress progress;  // with the evaluation
};
struct RankFinished {
  int rank = 0;
  v1::TrainerFinished finished;
};
struct RankExited {
  int rank = 0;
  std::string how;                           // "was ended by signal 11.", ...
  std::vector<std::string> last_lines = {};  // that it wrote
  bool by_agent = false;                     // stopped by its agent, not by itself
};
// A rank's part of a checkpoint is stored.
struct CheckpointPartStored {
  int rank = 0;
  v1::TrainerCheckpoint part;
};
// All parts and the manifest are.
struct CheckpointCompleted {
  v1::Checkpoint checkpoint;
};
struct CheckpointFailed {
  std::string why;
};
// A trainer's last word. One that may be the consequence of another rank's end (RETRYABLE) breaks
// the gang once every rank is heard of, or kCauseGrace later; what else breaks it until then is
// named as the cause instead (cause_search.h).
struct RankFailed {
  int rank = 0;
  v1::TrainerFailure failure;
};
// The processes are out of reach and end by themselves.
struct RanksLost {
  std::vector<int> ranks;
  std::string why;
};
// A worker with some of the ranks takes no more work; the gang is to move.
struct WorkerDrains {
  std::string why;
  absl::Duration grace;  // for the step that the ranks are in
};
// The clock moved.
struct TimePassed {};
// The gang makes no progress.
struct Stalled {
  std::string why;
};
// The rendezvous of a gang that was still meeting is gone.
struct RendezvousLost {};
// A broken promise, for example masks that differ.
struct PromiseBroken {
  std::string what;
};
struct CancelRequested {};
struct PauseRequested {};
struct ResumeRequested {};

using RunEvent =
    std::variant<PreparationStarted, PreparationSucceeded, PreparationFailed, Requeued, Placed,
                 GangReady, PlanChanged, Evaluated, CheckpointPartStored, CheckpointCompleted,
                 CheckpointFailed, RankFinished, RankExited, RankFailed, RanksLost, WorkerDrains,
                 TimePassed, Stalled, RendezvousLost, PromiseBroken, CancelRequested,
                 PauseRequested, ResumeRequested>;

// How long ranks that are paused have for the step they are in and for handing over a checkpoint.
inline constexpr absl::Duration kPauseGrace = absl::Minutes(10);

// Stop all trainers of the run's attempt.
struct StopGang {
  std::string reason;
  absl::Duration grace;
  bool save_checkpoint = false;
};

struct Reaction {
  Run next;
  JobChange change;              // what makes `next` durable
  bool changed = false;          // false: the event has no effect
  std::optional<StopGang> stop;  // after `change` is durable
};

// Events about ranks must belong to the run's attempt: fencing is the caller's.
Reaction React(const Run& run, const RunEvent& event, absl::Time now);

}  // namespace dropbp::server
