// The coordinator: owns all jobs, workers and runs under one lock, and connects the rooms of this
// folder. Users call the first group of methods, agents' sessions the second, a timer the third. It
// knows no gRPC and no wall clock, so a test steps it with a ManualClock and in-memory sessions.
//
// Order of work for every event:
// a. the run state machine says what the event does (run_machine.h);
// b. the job and its events are made durable in one transaction (store/);
// c. only then are agents told and watchers woken.
// If (b) fails nothing has changed: an agent's session is closed, so that it sends the frame again
// later.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "dropbp/v1/jobs_service.pb.h"
#include "dropbp/v1/worker_gateway.pb.h"
#include "server/artifacts/artifact_store.h"
#include "server/logs/log_store.h"
#include "server/run/coordinator_observer.h"
#include "server/run/live_run.h"
#include "server/run/worker_registry.h"
#include "server/store/job_store.h"

namespace dropbp::server {

struct CoordinatorOptions {
  absl::Duration lease = absl::Seconds(15);          // an agent not heard for so long is lost
  absl::Duration heartbeat = absl::Seconds(3);       // what agents are asked for
  absl::Duration flush_interval = absl::Seconds(1);  // step progress becomes durable
  absl::Duration stall_min = absl::Seconds(60);      // a step may always take this long
  double stall_factor = 10;                          // ... or this many median steps
  absl::Duration start_timeout =
      absl::Minutes(10);                          // from the start of an attempt to its first step
  int64_t block_steps = kDefaultBlockSteps;       // of one broadcast block of masks, at most
  CoordinatorObserver* observer = &NoObserver();  // outlives the coordinator
};

// A running job, for the metrics.
struct RunSnapshot {
  v1::Job job;
  v1::JobProgress counted_from;              // see LiveRun
  v1::StepReport newest_step;                // of rank 0
  std::vector<double> rank_compute_seconds;  // see RankWatch
  int64_t non_finite_steps = 0;
};

struct CoordinatorSnapshot {
  absl::Time now;
  std::map<v1::Job::State, int64_t> jobs;
  absl::Duration oldest_wait = absl::ZeroDuration();  // of the jobs that are QUEUED
  std::vector<v1::Worker> workers;
  std::vector<RunSnapshot> running;  // jobs with a current attempt, oldest first, to some number
  int64_t running_left_out = 0;      // those beyond that number
};

// Part of a job's step history.
struct StepPage {
  int attempt = 0;                    // the newest; earlier ones made the steps before it began
  std::vector<v1::StepReport> steps;  // of rank 0, in order
};

class Coordinator {
 public:
  // Takes up the stored jobs. `artifacts`, `logs` and `clock` outlive the coordinator.
  static absl::StatusOr<std::unique_ptr<Coordinator>> Open(CoordinatorOptions options,
                                                           std::unique_ptr<JobStore> store,
                                                           ArtifactStore& artifacts, LogStore& logs,
                                                           const Clock& clock);

  // Users. Statuses carry a reason (proto/support/grpc_status.h).
  absl::StatusOr<v1::Job> CreateJob(const v1::CreateJobRequest& request);
  // What a job would cost; stores nothing. NOT_FOUND (reason MODEL_NOT_FOUND) if no connected
  // worker has its model.
  absl::StatusOr<v1::PlanJobResponse> PlanJob(const v1::PlanJobRequest& request);
  absl::StatusOr<v1::Job> GetJob(const std::string& job_id);
  absl::StatusOr<JobPage> ListJobs(const JobQuery& query);
  absl::StatusOr<v1::Job> CancelJob(const std::string& job_id);
  absl::StatusOr<v1::Job> PauseJob(const std::string& job_id);
  absl::StatusOr<v1::Job> ResumeJob(const std::string& job_id);
  // Removes a job that has ended and all that only it uses. Reasons: JOB_NOT_FOUND, JOB_NOT_ENDED,
  // JOB_IN_USE (a job that has not ended begins from its result).
  absl::StatusOr<v1::Job> DeleteJob(const std::string& job_id);
  // Complete ones that are kept, newest first.
  absl::StatusOr<std::vector<v1::Checkpoint>> ListCheckpoints(const std::string& job_id);
  // Gives the watcher the stored events after `after_sequence` at once, then new ones, then the
  // end.
  absl::Status Watch(const std::string& job_id, int64_t after_sequence,
                     std::shared_ptr<JobWatcher> watcher);
  void Unwatch(const std::string& job_id, const JobWatcher* watcher);
  // The newest stored events, in order, at most `limit`.
  absl::StatusOr<std::vector<v1::JobEvent>> NewestEvents(const std::string& job_id, int limit);
  // Steps of the job from `first_step` on, each as its newest attempt made it, at most `limit`. No
  // steps: there are no more yet.
  absl::StatusOr<StepPage> StepsFrom(const std::string& job_id, int64_t first_step, int limit);
  // Evaluations of the job, by step, without their samples.
  absl::StatusOr<std::vector<v1::Evaluation>> Evaluations(const std::string& job_id);
  std::vector<v1::Worker> ListWorkers();
  // Takes a worker out of use or back into it. NOT_FOUND (reason WORKER_NOT_FOUND) if it is not
  // known.
  absl::StatusOr<v1::Worker> DrainWorker(const v1::DrainWorkerRequest& request);
  bool HasEnded(const std::string& job_id);

  // Agents. A status that is not OK ends the session.
  absl::Status Receive(const std::shared_ptr<WorkerOutbox>& outbox,
                       const v1::SessionRequest& frame);
  void Disconnected(const WorkerOutbox* outbox);

  // Everything that happens because time passes: leases, stalls, acknowledgements, scheduling. To
  // be called a few times a second.
  void Tick();
  // At most `max_running` running jobs.
  CoordinatorSnapshot Snapshot(size_t max_running);
  // Makes everything durable and ends all sessions and watches with UNAVAILABLE.
  void Shutdown();

 private:
  Coordinator(CoordinatorOptions options, std::unique_ptr<JobStore> store, ArtifactStore& artifacts,
              LogStore& logs, const Clock& clock);

  // coordinator_recovery.cc
  absl::Status Recover() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status RecoverJob(StoredJob stored) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status RecoverPlanner(LiveRun& live, const std::vector<v1::Sensitivities>& sensitivities)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status SettleRecovered(LiveRun& live) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // coordinator_plan.cc
  // What keeps a legal job from running as things are, in sentences; empty: nothing is known.
  std::string DryRunWarning(const JobSpec& spec) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // coordinator_jobs.cc
  v1::Job Decorated(const LiveRun& live) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckUploaded(std::string_view field, const std::string& sha256) const;

  // coordinator_init.cc
  // INVALID_ARGUMENT (reason INVALID_JOB) if there is nothing to begin from as the spec says. The
  // checkpoint to begin from, if it names one: then it names it by its step from here on.
  absl::StatusOr<std::optional<v1::Checkpoint>> ResolveInit(JobSpec& spec)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckResult(const JobSpec& spec, const v1::Job& earlier) const;
  absl::StatusOr<v1::Checkpoint> FindInitCheckpoint(const JobSpec& spec, const v1::Job& earlier,
                                                    const std::string& name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The result or checkpoint that the job begins from; empty if there is none.
  absl::StatusOr<google::protobuf::RepeatedPtrField<v1::Artifact>> InitFiles(const LiveRun& live)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // coordinator_checkpoints.cc
  absl::Status OnRankCheckpoint(KnownWorker& worker, const v1::RankCheckpoint& frame)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status TakePart(LiveRun& live, int rank, const v1::TrainerCheckpoint& part)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Nobody wants this part: its file goes, unless something else uses it.
  absl::Status TurnDown(const v1::TrainerCheckpoint& part) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Progress of the job after `step` steps, from the shares of its ranks and what was evaluated.
  absl::StatusOr<v1::JobProgress> ProgressAt(const std::string& job_id, int64_t step,
                                             const std::vector<CheckpointPartOf>& parts)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Completes a checkpoint of which all parts are stored.
  absl::Status Complete(LiveRun& live, int64_t step, const std::vector<CheckpointPartOf>& parts)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Complete ones that are kept, newest first, the best one marked.
  absl::StatusOr<std::vector<v1::Checkpoint>> CheckpointsOf(const v1::Job& job)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether all its files are there.
  bool IsStored(const v1::Checkpoint& checkpoint) const;
  // The newest complete checkpoint whose files are all there; nothing if there is none.
  absl::StatusOr<std::optional<v1::Checkpoint>> NewestCheckpoint(const std::string& job_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DeleteUnused() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Why a job that has ended, or is about to, takes no order; `live` is null if it has.
  absl::Status RefuseEnded(const std::string& job_id, const LiveRun* live)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // coordinator_frames.cc
  absl::Status Dispatch(KnownWorker& worker, const v1::SessionRequest& frame)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status OnPrepareResult(KnownWorker& worker, const v1::PrepareResult& result)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status OnPrepared(LiveRun& live, const v1::PrepareResult& result)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status OnRankReport(KnownWorker& worker, const v1::RankReport& report)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status OnReady(LiveRun& live, int rank) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status OnStep(LiveRun& live, int rank, const v1::StepReport& report)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status OnEvaluation(LiveRun& live, int rank, const v1::Evaluation& evaluation)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CountStep(LiveRun& live, const v1::StepReport& report) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status OnProbe(LiveRun& live, const v1::ProbeReport& report)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status OnDigest(LiveRun& live, int rank, const v1::PlanDigest& digest)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Announces the plan in force if the job has come to another stage.
  absl::Status AnnouncePlan(LiveRun& live) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnKeyValue(LiveRun& live, int rank, const v1::KvRequest& request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status OnRankFinished(KnownWorker& worker, const v1::RankFinished& finished)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status OnRankExited(KnownWorker& worker, const v1::RankExited& exited)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void OnRankLog(const v1::RankLog& log) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // coordinator_hello.cc
  absl::Status OnHello(const std::shared_ptr<WorkerOutbox>& outbox, const v1::WorkerHello& hello)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StopStrangers(KnownWorker& worker) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status ReconcileRun(LiveRun& live, const KnownWorker& worker)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ResendTo(LiveRun& live, int rank) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // All ranks of a worker that will not come back, and the check it was doing.
  absl::Status LoseWorker(const std::string& worker_id, const std::string& why)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // coordinator_drain.cc
  // Moves what a worker does elsewhere.
  absl::Status ClearWorker(const std::string& worker_id, const std::string& why,
                           absl::Duration grace) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status OnDraining(KnownWorker& worker, const v1::WorkerDraining& draining)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // coordinator_tick.cc
  void ForgivePause(absl::Duration pause) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropLostWorkers(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropMissingRanks(LiveRun& live, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CheckStall(LiveRun& live, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Duration EvaluationLimit(const LiveRun& live, absl::Duration limit,
                                 absl::Duration step) const;
  std::string StallOf(const LiveRun& live, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SnapshotRuns(size_t max_running, CoordinatorSnapshot& snapshot)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FlushAndAcknowledge() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Flush() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // coordinator_gang.cc
  LiveRun* FindRun(const std::string& job_id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The run if (attempt, rank) is its current one and lives on `worker`; nullptr: the frame is
  // fenced off.
  LiveRun* FindRank(const KnownWorker& worker, const std::string& job_id, int attempt, int rank)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Steps a to c above.
  absl::Status Apply(LiveRun& live, const RunEvent& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ApplyOrLog(LiveRun& live, const RunEvent& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Tells the observer what a durable change meant.
  void Observe(const v1::Job& before, const LiveRun& live) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Notify(LiveRun& live, const v1::JobEvent& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendStop(const Run& gang, const StopGang& stop) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendCommand(const LiveRun& live, int rank, v1::TrainerCommand command)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Sends each ready rank one more mask block if it has too few ahead.
  void PumpMasks(LiveRun& live) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RemoveEnded() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // coordinator_schedule.cc
  void RunSchedule() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<WaitingJob> Waiting() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Execute(const Decision& decision) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Prepare(LiveRun& live, const std::string& worker_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Place(LiveRun& live, const std::vector<RankSlot>& slots)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<v1::SessionResponse> PrepareOrder(const LiveRun& live)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `order` says what the attempt begins with; the rest is filled in.
  void SendStart(const LiveRun& live, v1::StartRanks order) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NoteQueue(const Schedule& schedule) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const CoordinatorOptions options_;
  ArtifactStore& artifacts_;  // thread-safe
  const Clock& clock_;        // thread-safe

  absl::Mutex mutex_;
  const std::unique_ptr<JobStore> store_ ABSL_PT_GUARDED_BY(mutex_);
  LogStore& logs_;
  std::map<std::string, LiveRun> runs_ ABSL_GUARDED_BY(mutex_);
  WorkerRegistry workers_ ABSL_GUARDED_BY(mutex_);
  absl::Time last_tick_ ABSL_GUARDED_BY(mutex_);
  absl::Time last_flush_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace dropbp::server
