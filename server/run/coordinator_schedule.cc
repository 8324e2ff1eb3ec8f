// Coordinator: from the queue to checked data and started gangs.
#include <spdlog/spdlog.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/support/job_spec_proto.h"
#include "server/run/coordinator.h"
#include "server/run/proto_time.h"

namespace dropbp::server {

std::vector<WaitingJob> Coordinator::Waiting() {
  std::vector<WaitingJob> waiting;
  for (auto& [job_id, live] : runs_) {
    const JobState state = live.run.state();
    const bool prepared = live.run.shape.has_value();
    const bool waits = state == JobState::kQueued || (state == JobState::kPreparing && prepared) ||
                       (state == JobState::kRestarting && live.run.ranks.empty());
    live.queue_position = 0;
    if (!waits || clock_.Now() < live.next_check) continue;
    waiting.push_back({.job_id = job_id,
                       .priority = live.run.spec.priority,
                       .create_order = live.create_order,
                       .model = live.run.spec.model,
                       .ranks = static_cast<int>(live.run.spec.resources.ranks),
                       .device = live.run.spec.resources.device,
                       .prepared = prepared});
  }
  return waiting;
}

void Coordinator::RunSchedule() {
  const absl::Time begun = absl::Now();
  const Schedule schedule = MakeSchedule(Waiting(), workers_.Pool());
  options_.observer->OnSchedule(absl::Now() - begun);
  for (const Decision& decision : schedule.decisions) Execute(decision);
  NoteQueue(schedule);
  RemoveEnded();
}

void Coordinator::Execute(const Decision& decision) {
  LiveRun* live = FindRun(decision.job_id);
  if (live == nullptr) return;
  const absl::Status status = decision.kind == Decision::Kind::kPrepare
                                  ? Prepare(*live, decision.worker_id)
                                  : Place(*live, decision.ranks);
  // Nothing was sent; the next round decides again.
  if (!status.ok()) spdlog::error("job {}: {}", decision.job_id, status.ToString());
}

absl::Status Coordinator::Prepare(LiveRun& live, const std::string& worker_id) {
  ASSIGN_OR_RETURN(v1::SessionResponse order, PrepareOrder(live));
  RETURN_IF_ERROR(Apply(live, PreparationStarted{worker_id}));
  live.preparer = worker_id;
  workers_.Find(worker_id)->preparing = live.run.job.job_id();
  workers_.Send(worker_id, std::move(order));
  return absl::OkStatus();
}

absl::StatusOr<v1::SessionResponse> Coordinator::PrepareOrder(const LiveRun& live) {
  v1::SessionResponse frame;
  v1::PrepareJob& order = *frame.mutable_prepare_job();
  order.set_job_id(live.run.job.job_id());
  *order.mutable_spec() = live.run.job.spec();
  ASSIGN_OR_RETURN(*order.mutable_init_files(), InitFiles(live));
  return frame;
}

absl::Status Coordinator::Place(LiveRun& live, const std::vector<RankSlot>& slots) {
  ASSIGN_OR_RETURN(JobPlanner planner,
                   JobPlanner::Make(live.run.spec, *live.run.shape, live.run.job.dataset_report(),
                                    options_.block_steps));
  const std::string& job_id = live.run.job.job_id();
  ASSIGN_OR_RETURN(const std::optional<v1::Checkpoint> checkpoint, NewestCheckpoint(job_id));
  const int64_t first_step = checkpoint ? checkpoint->step() : 0;
  ASSIGN_OR_RETURN(const std::vector<v1::Sensitivities> probes, store_->SensitivitiesOf(job_id));
  for (const v1::Sensitivities& probe : probes) {
    // A probe right at the checkpoint runs again.
    if (probe.step() < first_step) RETURN_IF_ERROR(planner.AddSensitivities(probe).status());
  }
  planner.Advance(first_step);
  v1::StartRanks order;
  if (checkpoint) {
    *order.mutable_checkpoint() = *checkpoint;
  } else {
    ASSIGN_OR_RETURN(*order.mutable_init_files(), InitFiles(live));
  }
  Placed placed{.ranks = {}, .plan = planner.Describe(), .checkpoint = checkpoint};
  for (const RankSlot& slot : slots) {
    placed.ranks.push_back({.worker_id = slot.worker_id,
                            .incarnation = workers_.Find(slot.worker_id)->hello.incarnation(),
                            .slot = slot.slot});
  }
  RETURN_IF_ERROR(Apply(live, placed));
  const absl::Time now = clock_.Now();
  if (live.run.job.attempt() == 1) {
    options_.observer->OnQueueWait(now - FromProto(live.run.job.create_time()));
  }
  live.planner = std::move(planner);
  if (const double median = live.progress.MedianStepSeconds(); median > 0)
    live.step_seconds_before = median;
  live.progress.Restore(live.run.job.progress(), {});
  live.counted_from = live.run.job.progress();
  live.rendezvous = Rendezvous();
  live.watches.assign(slots.size(), RankWatch{.heard = now, .masks_until = first_step});
  live.attempt_start = now;
  live.non_finite_steps = 0;
  live.pending_reason.clear();
  SendStart(live, std::move(order));
  return absl::OkStatus();
}

void Coordinator::SendStart(const LiveRun& live, v1::StartRanks order) {
  std::map<std::string, v1::SessionResponse> frames;
  const v1::Job& job = live.run.job;
  order.set_job_id(job.job_id());
  order.set_attempt(job.attempt());
  *order.mutable_spec() = job.spec();
  order.set_world_size(static_cast<int>(live.run.ranks.size()));
  for (size_t rank = 0; rank < live.run.ranks.size(); ++rank) {
    const Placement& placement = live.run.ranks[rank];
    v1::SessionResponse& frame = frames[placement.worker_id];
    if (!frame.has_start_ranks()) *frame.mutable_start_ranks() = order;
    v1::RankPlacement* entry = frame.mutable_start_ranks()->add_ranks();
    entry->set_rank(static_cast<int>(rank));
    entry->set_slot(placement.slot);
    workers_.Find(placement.worker_id)->uses[placement.slot] = {.job_id = job.job_id(),
                                                                .attempt = job.attempt(),
                                                                .rank = static_cast<int>(rank),
                                                                .told_to_stop = false};
  }
  for (auto& [worker_id, frame] : frames) workers_.Send(worker_id, std::move(frame));
}

void Coordinator::NoteQueue(const Schedule& schedule) {
  int position = 0;
  for (const std::string& job_id : schedule.queue) {
    LiveRun* live = FindRun(job_id);
    if (live == nullptr) continue;
    live->pending_reason = schedule.pending_reason.at(job_id);
    if (live->run.state() == JobState::kPreparing) {
      ApplyOrLog(*live, Requeued{absl::StrCat("The data is checked; ", live->pending_reason)});
    }
    if (live->run.state() == JobState::kQueued) live->queue_position = ++position;
  }
}

}  // namespace dropbp::server
