#include "worker/agent/agent_metrics.h"

#include <algorithm>
#include <exception>
#include <fstream>
#include <map>

#include "absl/strings/str_cat.h"
#include "core/metrics/exposition.h"
#include "core/metrics/machine_metrics.h"
#include "worker/agent/agent_table.h"

namespace dropbp::agent {
namespace {

std::unique_ptr<GpuMonitor> MonitorOf(const std::vector<Slot>& slots) {
  const bool has_gpu = std::any_of(slots.begin(), slots.end(),
                                   [](const Slot& slot) { return !slot.gpu_uuid.empty(); });
  return has_gpu ? GpuMonitor::Open() : nullptr;
}

// A line "<key>: <number> kB" of /proc/meminfo, in bytes.
double MemoryInfo(const std::string& key) {
  std::ifstream meminfo("/proc/meminfo");
  std::string name;
  double kib = 0;
  for (std::string unit; meminfo >> name >> kib; std::getline(meminfo, unit)) {
    if (name == key + ":") return kib * 1024;
  }
  return 0;
}

void AddSession(const AgentStatus& status, Exposition& out) {
  const SessionStats& session = status.session;
  out.Set("dropbp_worker_session_connected", session.connected);
  out.Set("dropbp_worker_sessions_total", static_cast<double>(session.welcomed));
  out.Set("dropbp_worker_backlog_frames", static_cast<double>(session.backlog_frames));
  out.Set("dropbp_worker_backlog_bytes", static_cast<double>(session.backlog_bytes));
  out.Set("dropbp_worker_given_up_frames_total", static_cast<double>(session.given_up_frames));
  out.Set("dropbp_worker_models", static_cast<double>(status.models));
  out.Set("dropbp_worker_memory_size_bytes", MemoryInfo("MemTotal"));
  out.Set("dropbp_worker_memory_available_bytes", MemoryInfo("MemAvailable"));
}

void AddTrainers(const AgentStatus& status, Exposition& out) {
  out.Set("dropbp_worker_trainers_running", static_cast<double>(status.trainers.size()));
  for (const auto& [how, count] : status.ended) {
    out.Set("dropbp_worker_trainers_ended_total", static_cast<double>(count), {how});
  }
  for (const RunningTrainer& trainer : status.trainers) {
    const auto usage = ReadProcessUsage(trainer.pid);
    if (!usage) continue;  // it has just ended
    const std::vector<std::string> labels = {absl::StrCat(trainer.slot), trainer.key.job_id,
                                             absl::StrCat(trainer.key.rank)};
    out.Set("dropbp_worker_trainer_cpu_seconds_total", usage->cpu_seconds, labels);
    out.Set("dropbp_worker_trainer_resident_memory_bytes",
            static_cast<double>(usage->resident_bytes), labels);
  }
}

void AddGpu(const GpuReading& gpu, const std::vector<std::string>& labels, Exposition& out) {
  if (gpu.memory_used_bytes) {
    out.Set("dropbp_worker_device_memory_used_bytes", static_cast<double>(*gpu.memory_used_bytes),
            labels);
  }
  if (gpu.utilisation) out.Set("dropbp_worker_device_utilisation_ratio", *gpu.utilisation, labels);
  if (gpu.temperature_celsius) {
    out.Set("dropbp_worker_device_temperature_celsius", *gpu.temperature_celsius, labels);
  }
  if (gpu.power_watts) out.Set("dropbp_worker_device_power_watts", *gpu.power_watts, labels);
}

void AddSlots(const std::vector<Slot>& slots, const GpuMonitor* gpus, Exposition& out) {
  std::map<std::string, int> kinds = {{"cpu", 0}, {"cuda", 0}};
  for (const Slot& slot : slots) {
    ++kinds[slot.kind == v1::DeviceSlot::CUDA ? "cuda" : "cpu"];
    const std::vector<std::string> labels = {
        absl::StrCat(slot.index), slot.gpu_uuid.empty() ? slot.device_name : slot.gpu_uuid};
    out.Set("dropbp_worker_device_memory_size_bytes", static_cast<double>(slot.memory_bytes),
            labels);
    if (gpus == nullptr || slot.gpu_uuid.empty()) continue;
    if (const auto gpu = gpus->Read(slot.gpu_uuid)) AddGpu(*gpu, labels, out);
  }
  for (const auto& [kind, count] : kinds) out.Set("dropbp_worker_slots", count, {kind});
}

}  // namespace

AgentMetrics::AgentMetrics(Agent& agent) : agent_(agent), gpus_(MonitorOf(agent.slots())) {}

std::vector<prometheus::MetricFamily> AgentMetrics::Collect() const {
  const AgentStatus status = agent_.Status();
  Exposition out(AgentTable());
  AddMachineMetrics("work", agent_.options().work_dir, out);
  out.Set("dropbp_worker_info", 1, {agent_.options().worker_id});
  AddSession(status, out);
  AddTrainers(status, out);
  AddSlots(agent_.slots(), gpus_.get(), out);
  return out.Take();
}

MetricsServer::MetricsServer(const std::string& address, Agent& agent)
    : metrics_(std::make_shared<AgentMetrics>(agent)), exposer_(address, 1) {
  exposer_.RegisterCollectable(metrics_);
}

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(const std::string& address,
                                                                    Agent& agent) {
  try {
    return std::unique_ptr<MetricsServer>(new MetricsServer(address, agent));
  } catch (const std::exception& error) {
    return absl::UnavailableError(
        absl::StrCat("--metrics-listen ", address, ": cannot serve there: ", error.what()));
  }
}

}  // namespace dropbp::agent
