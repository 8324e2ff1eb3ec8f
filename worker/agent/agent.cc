#include "worker/agent/agent.h"

#include <spdlog/spdlog.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "absl/time/clock.h"
#include "core/base/check.h"
#include "core/base/format_bytes.h"
#include "proto/support/tls_credentials.h"
#include "worker/agent/models.h"

namespace dropbp::agent {
namespace {

// Frames that are on their way when the agent stops get this long to arrive.
constexpr absl::Duration kFlushTimeout = absl::Seconds(2);
// A coordinator that is there answers at once; one that is away must not cost the trainers' grace.
constexpr absl::Duration kDrainTimeout = absl::Seconds(2);

uint64_t RandomNumber() {
  uint64_t number = 0;
  DROPBP_CHECK_EQ(getrandom(&number, sizeof(number), 0), static_cast<ssize_t>(sizeof(number)));
  return number;
}

std::string HostName() {
  char name[HOST_NAME_MAX + 1] = {};
  gethostname(name, sizeof(name) - 1);
  return name;
}

void LogStart(const AgentOptions& options, const std::vector<Slot>& slots) {
  for (const Slot& slot : slots) {
    spdlog::info("slot {}: {}, {}, {} threads", slot.index, slot.device_name,
                 FormatBytes(slot.memory_bytes), slot.threads);
  }
  const std::vector<std::string> models = ListModels(options.models_dir);
  spdlog::info("worker {}: {} models in {}, work folder {}", options.worker_id, models.size(),
               options.models_dir, options.work_dir);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Agent>> Agent::Create(const AgentOptions& options,
                                                     const std::string& program) {
  ASSIGN_OR_RETURN(std::vector<Slot> slots, DiscoverSlots(options));
  ASSIGN_OR_RETURN(std::unique_ptr<WorkFolder> folder, WorkFolder::Open(options.work_dir));
  LogStart(options, slots);
  std::unique_ptr<Agent> agent(new Agent(options, program, std::move(slots), std::move(folder)));
  RETURN_IF_ERROR(agent->link_server_.Start());
  agent->session_.Start();
  return agent;
}

Agent::Agent(const AgentOptions& options, const std::string& program, std::vector<Slot> slots,
             std::unique_ptr<WorkFolder> folder)
    : options_(options),
      incarnation_(RandomNumber()),
      coordinator_{.address = options_.coordinator,
                   .credentials = MakeChannelCredentials(options_.tls),
                   .server_name = options_.tls_server_name},
      folder_(std::move(folder)),
      artifacts_(coordinator_),
      datasets_(folder_->CacheFolder(), artifacts_),
      checkpoints_(folder_->CheckpointFolder(), artifacts_),
      session_(coordinator_,
               {.hello = [this] { return Hello(); },
                .models = [this] { return ListModels(options_.models_dir); },
                .on_response = [this](const v1::SessionResponse& order) { CarryOut(order); }}),
      host_{.spawner = spawner_,
            .folder = *folder_,
            .trainer = options_.trainer,
            .send =
                [this](v1::SessionRequest frame) {
                  if (frame.has_rank_exited()) ends_.Count(frame.rank_exited());
                  session_.Send(std::move(frame));
                }},
      link_server_(
          {.find_run = [this](const std::string& token) { return trainers_.FindByToken(token); },
           .send = host_.send},
          *folder_, artifacts_, checkpoints_),
      preparer_(options_, program, spawner_, datasets_, checkpoints_, host_.send),
      trainers_(options_, std::move(slots), host_, datasets_, checkpoints_) {}

Agent::~Agent() {
  preparer_.Stop();
  trainers_.StopAll("the worker ends", absl::ZeroDuration(), /*save_checkpoint=*/false);
  link_server_.Stop();
  session_.Close();
}

void Agent::Stop() {
  const absl::Time kill = absl::Now() + options_.stop_grace;
  spdlog::info("stopping; trainers have {} to end", absl::FormatDuration(options_.stop_grace));
  draining_ = true;
  v1::SessionRequest frame;
  *frame.mutable_draining() = Draining();
  if (!session_.SendAndAwait(std::move(frame), std::min(kDrainTimeout, options_.stop_grace / 4))) {
    spdlog::warn("the coordinator did not hear that this worker stops");
  }
  preparer_.Stop();
  trainers_.StopAll("the worker is being stopped",
                    std::max(kill - absl::Now(), absl::ZeroDuration()),
                    /*save_checkpoint=*/true);
  if (!session_.Flush(kFlushTimeout)) {
    spdlog::warn("the coordinator did not hear all that was left to tell it");
  }
}

AgentStatus Agent::Status() {
  return {.session = session_.Stats(),
          .trainers = trainers_.Running(),
          .ended = ends_.Counts(),
          .models = ListModels(options_.models_dir).size()};
}

v1::WorkerDraining Agent::Draining() const {
  v1::WorkerDraining draining;
  draining.set_grace_seconds(absl::ToDoubleSeconds(options_.stop_grace));
  return draining;
}

v1::WorkerHello Agent::Hello() {
  v1::WorkerHello hello;
  hello.set_worker_id(options_.worker_id);
  hello.set_incarnation(incarnation_);
  hello.set_hostname(HostName());
  hello.set_version(DROPBP_VERSION);
  hello.set_host_address(options_.host_address);
  if (draining_) *hello.mutable_draining() = Draining();
  for (v1::DeviceSlot& slot : trainers_.DescribeSlots()) *hello.add_slots() = std::move(slot);
  for (std::string& model : ListModels(options_.models_dir)) hello.add_models(std::move(model));
  for (v1::WorkerModel& model : DescribeModels(options_.models_dir))
    *hello.add_model_configs() = std::move(model);
  for (v1::LiveRank& rank : trainers_.LiveRanks()) *hello.add_ranks() = std::move(rank);
  return hello;
}

void Agent::CarryOut(const v1::SessionResponse& order) {
  switch (order.body_case()) {
    case v1::SessionResponse::kPrepareJob:
      return preparer_.Prepare(order.prepare_job());
    case v1::SessionResponse::kStartRanks:
      return trainers_.Start(order.start_ranks());
    case v1::SessionResponse::kStopRanks:
      return trainers_.Stop(order.stop_ranks());
    case v1::SessionResponse::kRankCommand:
      return trainers_.Deliver(order.rank_command());
    default:
      spdlog::warn("the coordinator sent a message that this version does not know");
  }
}

}  // namespace dropbp::agent
