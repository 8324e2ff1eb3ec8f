// Coordinator: what agents say. Only a failure of the store ends a session: the agent sends the
// frame again later. A frame that makes no sense is dropped, since sending it again would not help.
#include <spdlog/spdlog.h>

#include <cmath>
#include <csignal>

#include "absl/strings/str_cat.h"
#include "core/job/memory_advice.h"
#include "proto/support/grpc_status.h"
#include "server/run/coordinator.h"
#include "server/run/job_memory.h"
#include "server/run/proto_time.h"

namespace dropbp::server {
namespace {

constexpr size_t kAnswersKept = 16;

std::string HowItEnded(const v1::RankExited& exited) {
  if (!exited.start_error().empty()) {
    return absl::StrCat("could not start: ", exited.start_error());
  }
  if (exited.stopped()) return "was stopped by its worker.";
  // The kernel's way to end a process when memory is short.
  if (exited.signal() == SIGKILL) {
    return absl::StrCat("was ended by signal 9; was its machine out of memory? ", kMemoryAdvice);
  }
  if (exited.signal() != 0) return absl::StrCat("was ended by signal ", exited.signal(), ".");
  if (exited.exit_code() == 0) return "ended before the job was done.";
  return absl::StrCat("ended with exit code ", exited.exit_code(), ".");
}

// The newest step counts for an eighth.
double MovingAverage(double before, const v1::StepReport& step) {
  const double seconds = step.step_seconds() - step.all_reduce_seconds();
  return before == 0 ? seconds : before + (seconds - before) / 8;
}

absl::Duration CheckDelay(int failed_checks) {
  return absl::Seconds(5) * (1 << std::min(failed_checks - 1, 4));
}

}  // namespace

absl::Status Coordinator::Receive(const std::shared_ptr<WorkerOutbox>& outbox,
                                  const v1::SessionRequest& frame) {
  absl::MutexLock lock(&mutex_);
  if (frame.has_hello()) {
    RETURN_IF_ERROR(OnHello(outbox, frame.hello()));
    RunSchedule();
    return absl::OkStatus();
  }
  KnownWorker* worker = workers_.FindByOutbox(outbox.get());
  if (worker == nullptr) {
    return WithReason(absl::FailedPreconditionError("the first message of a session must be hello"),
                      "HELLO_MISSING");
  }
  worker->last_seen = clock_.Now();
  if (frame.has_heartbeat() || frame.sequence() <= worker->taken_in) return absl::OkStatus();
  RETURN_IF_ERROR(Dispatch(*worker, frame));
  worker->taken_in = frame.sequence();
  if (frame.has_draining()) FlushAndAcknowledge();  // the agent waits for it
  RemoveEnded();
  return absl::OkStatus();
}

absl::Status Coordinator::Dispatch(KnownWorker& worker, const v1::SessionRequest& frame) {
  switch (frame.body_case()) {
    case v1::SessionRequest::kPrepareResult:
      RETURN_IF_ERROR(OnPrepareResult(worker, frame.prepare_result()));
      RunSchedule();
      return absl::OkStatus();
    case v1::SessionRequest::kRankReport:
      return OnRankReport(worker, frame.rank_report());
    case v1::SessionRequest::kRankCheckpoint:
      return OnRankCheckpoint(worker, frame.rank_checkpoint());
    case v1::SessionRequest::kRankFinished:
      return OnRankFinished(worker, frame.rank_finished());
    case v1::SessionRequest::kRankExited:
      RETURN_IF_ERROR(OnRankExited(worker, frame.rank_exited()));
      RunSchedule();
      return absl::OkStatus();
    case v1::SessionRequest::kRankLog:
      OnRankLog(frame.rank_log());
      return absl::OkStatus();
    case v1::SessionRequest::kDraining:
      RETURN_IF_ERROR(OnDraining(worker, frame.draining()));
      RunSchedule();
      return absl::OkStatus();
    default:  // a message of a newer agent
      return absl::OkStatus();
  }
}

absl::Status Coordinator::OnPrepareResult(KnownWorker& worker, const v1::PrepareResult& result) {
  LiveRun* live = FindRun(result.job_id());
  const bool awaited =
      live != nullptr && live->run.state() == JobState::kPreparing && live->preparer == worker.id();
  if (awaited && result.error().empty()) {
    RETURN_IF_ERROR(OnPrepared(*live, result));
  } else if (awaited && result.retryable() &&
             live->failed_checks < static_cast<int>(live->run.spec.max_restarts)) {
    RETURN_IF_ERROR(Apply(
        *live, Requeued{absl::StrCat("The check is repeated soon; it failed: ", result.error())}));
    live->next_check = clock_.Now() + CheckDelay(++live->failed_checks);
    live->pending_reason.clear();
  } else if (awaited) {
    RETURN_IF_ERROR(Apply(*live, PreparationFailed{result.error()}));
  }
  if (awaited) live->preparer.clear();
  if (worker.preparing == result.job_id()) worker.preparing.clear();
  return absl::OkStatus();
}

absl::Status Coordinator::OnPrepared(LiveRun& live, const v1::PrepareResult& result) {
  absl::StatusOr<JobPlanner> planner = JobPlanner::Make(
      live.run.spec, result.model_shape(), result.dataset_report(), options_.block_steps);
  if (!planner.ok()) {
    return Apply(live, PreparationFailed{std::string(planner.status().message())});
  }
  const absl::StatusOr<MemoryCheck> memory =
      CheckMemory(live.run.spec, result.model_shape(), result.dataset_report(),
                  planner->total_steps(), workers_.all());
  if (!memory.ok()) return Apply(live, PreparationFailed{std::string(memory.status().message())});
  if (!memory->refusal.empty()) return Apply(live, PreparationFailed{memory->refusal});
  RETURN_IF_ERROR(Apply(live, PreparationSucceeded{.report = result.dataset_report(),
                                                   .shape = result.model_shape(),
                                                   .plan = planner->Describe(),
                                                   .total_steps = planner->total_steps()}));
  if (memory->warning.empty()) return absl::OkStatus();
  return Apply(live, PlanChanged{.plan = live.run.job.plan(),
                                 .message = memory->warning,
                                 .sensitivities = std::nullopt});
}

absl::Status Coordinator::OnRankReport(KnownWorker& worker, const v1::RankReport& report) {
  LiveRun* live = FindRank(worker, report.job_id(), report.attempt(), report.rank());
  if (live == nullptr || !live->run.Active()) StopStrangers(worker);
  // A gang that is being stopped for a while still counts: the checkpoint that it saves holds what
  // it reports until then.
  if (live == nullptr || live->run.state() == JobState::kCancelling) return absl::OkStatus();
  const v1::TrainerReport& body = report.report();
  switch (body.body_case()) {
    case v1::TrainerReport::kReady:
      return OnReady(*live, report.rank());
    case v1::TrainerReport::kStep:
      return OnStep(*live, report.rank(), body.step());
    case v1::TrainerReport::kProbe:
      return OnProbe(*live, body.probe());
    case v1::TrainerReport::kEvaluation:
      return OnEvaluation(*live, report.rank(), body.evaluation());
    case v1::TrainerReport::kPlanDigest:
      return OnDigest(*live, report.rank(), body.plan_digest());
    case v1::TrainerReport::kFailure:
      return Apply(*live, RankFailed{report.rank(), body.failure()});
    case v1::TrainerReport::kKv:
      OnKeyValue(*live, report.rank(), body.kv());
      return absl::OkStatus();
    default:
      return absl::OkStatus();
  }
}

absl::Status Coordinator::OnReady(LiveRun& live, int rank) {
  RETURN_IF_ERROR(Apply(live, GangReady{}));
  RankWatch& watch = live.watches[static_cast<size_t>(rank)];
  watch.ready = true;
  watch.heard = clock_.Now();
  PumpMasks(live);
  return absl::OkStatus();
}

absl::Status Coordinator::OnStep(LiveRun& live, int rank, const v1::StepReport& report) {
  if (live.planner) {
    const absl::Status masks = live.planner->CheckMasks(rank, report);
    if (!masks.ok()) return Apply(live, PromiseBroken{std::string(masks.message())});
  }
  RETURN_IF_ERROR(Apply(live, GangReady{}));
  const absl::Time now = clock_.Now();
  RankWatch& watch = live.watches[static_cast<size_t>(rank)];
  watch.ready = true;
  Placement& placement = live.run.ranks[static_cast<size_t>(rank)];
  if (!live.progress.Count(rank, placement, report, now)) return absl::OkStatus();
  watch.heard = now;
  watch.compute_seconds = MovingAverage(watch.compute_seconds, report);
  live.dirty = true;
  v1::Job& job = live.run.job;
  *job.mutable_progress() = live.progress.progress();
  if (!job.has_start_time()) *job.mutable_start_time() = ToProto(now);
  PumpMasks(live);
  if (rank != 0) return absl::OkStatus();
  CountStep(live, report);
  live.unsaved_steps.push_back(report);
  v1::JobEvent event;
  event.set_type(v1::JobEvent::STEP);
  event.set_state(job.state());
  event.set_attempt(job.attempt());
  *event.mutable_time() = ToProto(now);
  *event.mutable_progress() = job.progress();
  if (job.progress().has_evaluation()) {  // its texts are told once
    event.mutable_progress()->mutable_evaluation()->clear_samples();
  }
  Notify(live, event);
  return AnnouncePlan(live);
}

absl::Status Coordinator::OnEvaluation(LiveRun& live, int rank, const v1::Evaluation& evaluation) {
  ProgressTracker progress = live.progress;
  if (rank != 0 || !progress.Count(evaluation)) return absl::OkStatus();
  RETURN_IF_ERROR(Apply(live, Evaluated{progress.progress()}));
  live.progress = std::move(progress);
  for (RankWatch& watch : live.watches) watch.heard = clock_.Now();  // all took part
  return absl::OkStatus();
}

void Coordinator::CountStep(LiveRun& live, const v1::StepReport& report) {
  const bool finite = std::isfinite(report.loss()) && std::isfinite(report.grad_norm());
  if (!finite) ++live.non_finite_steps;
  options_.observer->OnStep(report.tokens(), finite);
}

void Coordinator::OnKeyValue(LiveRun& live, int rank, const v1::KvRequest& request) {
  for (RankAnswer& answer : live.rendezvous.Handle(rank, request)) {
    auto& answers = live.watches[static_cast<size_t>(answer.rank)].answers;
    answers.push_back(answer.response);
    if (answers.size() > kAnswersKept) answers.pop_front();
    v1::TrainerCommand command;
    *command.mutable_kv() = std::move(answer.response);
    SendCommand(live, answer.rank, std::move(command));
  }
}

absl::Status Coordinator::OnRankFinished(KnownWorker& worker, const v1::RankFinished& finished) {
  LiveRun* live = FindRank(worker, finished.job_id(), finished.attempt(), finished.rank());
  if (live == nullptr) return absl::OkStatus();
  for (const v1::Artifact& artifact : finished.finished().artifacts()) {
    if (artifacts_.Has(artifact.sha256()) || !live->run.Active()) continue;
    return Apply(*live, PromiseBroken{absl::StrCat("Rank ", finished.rank(),
                                                   " finished, but its "
                                                   "file '",
                                                   artifact.name(), "' (SHA-256 ",
                                                   artifact.sha256(), ") was not uploaded.")});
  }
  return Apply(*live, RankFinished{finished.rank(), finished.finished()});
}

absl::Status Coordinator::OnRankExited(KnownWorker& worker, const v1::RankExited& exited) {
  LiveRun* live = FindRank(worker, exited.job_id(), exited.attempt(), exited.rank());
  if (live != nullptr) {
    RETURN_IF_ERROR(Apply(
        *live, RankExited{.rank = exited.rank(),
                          .how = HowItEnded(exited),
                          .last_lines = {exited.last_lines().begin(), exited.last_lines().end()},
                          .by_agent = exited.stopped()}));
  }
  workers_.Release(worker.id(), exited.job_id(), exited.attempt(), exited.rank());
  return absl::OkStatus();
}

void Coordinator::OnRankLog(const v1::RankLog& log) {
  if (!IsLegalJobId(log.job_id())) return;  // it names a folder
  const LogName name = {.job_id = log.job_id(), .attempt = log.attempt(), .rank = log.rank()};
  const absl::Status status = log.has_offset() ? logs_.AppendAt(name, log.offset(), log.text())
                                               : logs_.Append(name, log.text());
  if (!status.ok()) spdlog::warn("{}", status.ToString());
}

}  // namespace dropbp::server
