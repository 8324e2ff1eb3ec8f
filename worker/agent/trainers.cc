#include "worker/agent/trainers.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/job/job_fields.h"
#include "worker/agent/models.h"

namespace dropbp::agent {
namespace {

// Starts that wait for data or a slot at a time; more wait for them.
constexpr int kMaxLaunches = 64;
// A slot's last trainer is being killed when the next one is placed there.
constexpr absl::Duration kSlotTimeout = absl::Seconds(60);

}  // namespace

Trainers::Trainers(const AgentOptions& options, std::vector<Slot> slots, TrainerHost& host,
                   DatasetCache& datasets, const CheckpointCache& checkpoints)
    : options_(options),
      slots_(std::move(slots)),
      host_(host),
      datasets_(datasets),
      checkpoints_(checkpoints),
      launches_(kMaxLaunches) {}

Trainers::~Trainers() {
  StopAll("the worker ends", absl::ZeroDuration(), /*save_checkpoint=*/false);
}

void Trainers::Start(const v1::StartRanks& request) {
  StopUpTo(request.job_id(), request.attempt() - 1, "a newer attempt begins", absl::ZeroDuration(),
           /*save_checkpoint=*/false);
  std::vector<Run> runs;
  absl::MutexLock lock(&mutex_);
  CollectEnded();
  if (refuse_ || !Accept(request.job_id(), request.attempt())) return;
  for (const v1::RankPlacement& placement : request.ranks()) {
    if (Run run = Place(request, placement)) runs.push_back(std::move(run));
  }
  if (runs.empty()) return;
  launches_.Run([this, request, runs] { Launch(request, runs); });
}

bool Trainers::Accept(const std::string& job_id, int attempt) {
  if (!IsLegalJobId(job_id) || attempt < 1) {
    spdlog::error("start of job '{}' attempt {} refused: not a legal job and attempt", job_id,
                  attempt);
    return false;
  }
  int& newest = newest_attempt_[job_id];
  if (attempt < newest) {
    spdlog::warn("start of {} attempt {} refused: attempt {} is in force", job_id, attempt, newest);
    return false;
  }
  if (attempt > newest) {
    std::erase_if(placed_, [&](const RankKey& key) { return key.job_id == job_id; });
    newest = attempt;
  }
  return true;
}

Trainers::Run Trainers::Place(const v1::StartRanks& request, const v1::RankPlacement& placement) {
  const RankKey key{request.job_id(), request.attempt(), placement.rank()};
  if (!placed_.insert(key).second) return nullptr;
  // A slot that this node does not have gets a run as well, so that the failure is told like any
  // other.
  const bool known = placement.slot() >= 0 && placement.slot() < static_cast<int>(slots_.size());
  Slot slot;
  slot.index = placement.slot();
  if (known) slot = slots_[placement.slot()];
  Run& run = runs_[key];
  run = std::make_shared<TrainerRun>(host_, key, std::move(slot), [this, key] { OnEnded(key); });
  live_.insert(key);
  return run;
}

void Trainers::Stop(const v1::StopRanks& request) {
  StopUpTo(request.job_id(), request.attempt(), request.reason(),
           absl::Seconds(std::max(0.0, request.grace_seconds())), request.save_checkpoint());
}

void Trainers::StopUpTo(const std::string& job_id, int attempt, const std::string& reason,
                        absl::Duration grace, bool save_checkpoint) {
  std::vector<Run> runs;
  {
    absl::MutexLock lock(&mutex_);
    CollectEnded();
    for (const auto& [key, run] : runs_) {
      if (key.job_id == job_id && key.attempt <= attempt) runs.push_back(run);
    }
  }
  // Outside the lock: a run that ends at once says so to this class.
  for (const Run& run : runs) run->Stop(reason, grace, save_checkpoint);
}

void Trainers::CollectEnded() {
  std::erase_if(runs_, [](const auto& entry) { return entry.second->ended(); });
}

void Trainers::OnEnded(const RankKey& key) {
  absl::MutexLock lock(&mutex_);
  live_.erase(key);
  std::erase_if(occupants_, [&](const auto& entry) { return entry.second == key; });
}

void Trainers::Deliver(const v1::RankCommand& command) {
  absl::MutexLock lock(&mutex_);
  const auto found = runs_.find({command.job_id(), command.attempt(), command.rank()});
  if (found != runs_.end()) found->second->Deliver(command.command());
}

void Trainers::StopAll(const std::string& reason, absl::Duration grace, bool save_checkpoint) {
  stopping_.Cancel();
  std::vector<Run> runs;
  {
    absl::MutexLock lock(&mutex_);
    refuse_ = true;
    for (const auto& [key, run] : runs_) runs.push_back(run);
  }
  for (const Run& run : runs) run->Stop(reason, grace, save_checkpoint);
  absl::MutexLock lock(&mutex_);
  const auto all_ended = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return live_.empty(); };
  mutex_.Await(absl::Condition(&all_ended));
}

std::vector<v1::LiveRank> Trainers::LiveRanks() {
  absl::MutexLock lock(&mutex_);
  std::vector<v1::LiveRank> ranks;
  for (const RankKey& key : live_) {
    v1::LiveRank& rank = ranks.emplace_back();
    rank.set_job_id(key.job_id);
    rank.set_attempt(key.attempt);
    rank.set_rank(key.rank);
    rank.set_slot(runs_.at(key)->slot().index);
  }
  return ranks;
}

std::vector<RunningTrainer> Trainers::Running() {
  absl::MutexLock lock(&mutex_);
  std::vector<RunningTrainer> running;
  for (const RankKey& key : live_) {
    const Run& run = runs_.at(key);
    if (const pid_t pid = run->running_pid(); pid > 0) {
      running.push_back({.key = key, .slot = run->slot().index, .pid = pid});
    }
  }
  return running;
}

std::vector<v1::DeviceSlot> Trainers::DescribeSlots() {
  absl::MutexLock lock(&mutex_);
  std::vector<v1::DeviceSlot> described;
  for (const Slot& slot : slots_) {
    v1::DeviceSlot& device = described.emplace_back();
    device.set_index(slot.index);
    device.set_kind(slot.kind);
    device.set_device_name(slot.device_name);
    device.set_memory_bytes(slot.memory_bytes);
    const auto occupant = occupants_.find(slot.index);
    if (occupant == occupants_.end()) continue;
    device.set_job_id(occupant->second.job_id);
    device.set_rank(occupant->second.rank);
  }
  return described;
}

std::shared_ptr<TrainerRun> Trainers::FindByToken(const std::string& token) {
  absl::MutexLock lock(&mutex_);
  for (const auto& [key, run] : runs_) {
    if (run->token() == token && !run->ended()) return run;
  }
  return nullptr;
}

void Trainers::Launch(const v1::StartRanks& request, const std::vector<Run>& runs) {
  const absl::StatusOr<v1::Assignment> assignment = PrepareAssignment(request);
  for (const Run& run : runs) {
    const absl::Status launched =
        assignment.ok() ? LaunchRun(*assignment, *run) : assignment.status();
    if (launched.ok()) continue;
    spdlog::error("{}: {}", Name(run->key()), launched.ToString());
    run->FailStart(std::string(launched.message()));
  }
}

absl::StatusOr<v1::Assignment> Trainers::PrepareAssignment(const v1::StartRanks& request) {
  v1::Assignment assignment;
  ASSIGN_OR_RETURN(*assignment.mutable_model_dir(),
                   FindModel(options_.models_dir, request.spec().model()));
  ASSIGN_OR_RETURN(*assignment.mutable_dataset_path(),
                   datasets_.Fetch(request.spec().dataset().artifact(), stopping_));
  for (const auto& [sha256, weight] : request.spec().dataset().mix()) {
    ASSIGN_OR_RETURN((*assignment.mutable_mix_paths())[sha256], datasets_.Fetch(sha256, stopping_));
  }
  if (const std::string& held_out = request.spec().dataset().validation_artifact();
      !held_out.empty()) {
    ASSIGN_OR_RETURN(*assignment.mutable_validation_path(), datasets_.Fetch(held_out, stopping_));
  }
  if (request.has_checkpoint()) {
    ASSIGN_OR_RETURN(*assignment.mutable_checkpoint_dir(),
                     checkpoints_.Fetch(request.job_id(), request.checkpoint(), stopping_));
  } else if (!request.init_files().empty()) {
    ASSIGN_OR_RETURN(*assignment.mutable_init_dir(),
                     checkpoints_.FetchInit(request.job_id(), request.init_files(), stopping_));
  }
  assignment.set_job_id(request.job_id());
  assignment.set_attempt(request.attempt());
  assignment.set_world_size(request.world_size());
  *assignment.mutable_spec() = request.spec();
  assignment.set_host_address(options_.host_address);
  return assignment;
}

absl::Status Trainers::LaunchRun(v1::Assignment assignment, TrainerRun& run) {
  RETURN_IF_ERROR(TakeSlot(run));
  assignment.set_rank(run.key().rank);
  assignment.set_output_dir(host_.folder.OutputFolder(run.key()));
  assignment.set_device(run.slot().TrainerDevice());
  assignment.set_threads(run.slot().threads);
  run.Launch(std::move(assignment));
  return absl::OkStatus();
}

absl::Status Trainers::TakeSlot(const TrainerRun& run) {
  const int slot = run.slot().index;
  if (slot < 0 || slot >= static_cast<int>(slots_.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat("slot: found ", slot, ", this worker has 0 to ", slots_.size() - 1));
  }
  absl::MutexLock lock(&mutex_);
  const auto settled = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !occupants_.contains(slot) || !live_.contains(run.key());
  };
  mutex_.AwaitWithTimeout(absl::Condition(&settled), kSlotTimeout);
  if (!live_.contains(run.key())) return absl::CancelledError("stopped before it started");
  if (occupants_.contains(slot)) {
    return absl::FailedPreconditionError(
        absl::StrCat("slot ", slot, " is taken by ", Name(occupants_.at(slot))));
  }
  occupants_[slot] = run.key();
  return absl::OkStatus();
}

}  // namespace dropbp::agent
