#include "worker/agent/agent_table.h"

#include "core/metrics/machine_metrics.h"

namespace dropbp::agent {
namespace {

constexpr MetricKind kGauge = MetricKind::kGauge;
constexpr MetricKind kCounter = MetricKind::kCounter;

MetricTable SessionMetrics() {
  return {
      {"dropbp_worker_info", kGauge, {"worker"}, "Always 1; the label is the worker's id."},
      {"dropbp_worker_session_connected",
       kGauge,
       {},
       "1 while the session with the coordinator is open, else 0."},
      {"dropbp_worker_sessions_total",
       kCounter,
       {},
       "Sessions that the coordinator welcomed since the agent started; more than one means "
       "reconnects."},
      {"dropbp_worker_backlog_frames",
       kGauge,
       {},
       "Messages that the coordinator has not acknowledged."},
      {"dropbp_worker_backlog_bytes", kGauge, {}, "Memory that they take."},
      {"dropbp_worker_given_up_frames_total",
       kCounter,
       {},
       "Log lines and step reports that were given up because the coordinator was away for too "
       "long."},
      {"dropbp_worker_models", kGauge, {}, "Model folders in --models-dir."},
      {"dropbp_worker_memory_size_bytes", kGauge, {}, "Memory of the node."},
      {"dropbp_worker_memory_available_bytes",
       kGauge,
       {},
       "Memory of the node that can be used without swapping."},
  };
}

MetricTable TrainerMetrics() {
  return {
      {"dropbp_worker_slots",
       kGauge,
       {"kind"},
       "Device slots of this worker; kind is cpu or cuda."},
      {"dropbp_worker_trainers_running", kGauge, {}, "Trainer processes."},
      {"dropbp_worker_trainers_ended_total",
       kCounter,
       {"how"},
       "Trainers that ended since the agent started: finished, failed (exit code other than 0), "
       "killed (by a signal), stopped (by the agent), not_started."},
      {"dropbp_worker_trainer_cpu_seconds_total",
       kCounter,
       {"slot", "job_id", "rank"},
       "Processor time of a running trainer."},
      {"dropbp_worker_trainer_resident_memory_bytes",
       kGauge,
       {"slot", "job_id", "rank"},
       "Resident memory of a running trainer."},
  };
}

MetricTable DeviceMetrics() {
  return {
      {"dropbp_worker_device_memory_size_bytes",
       kGauge,
       {"slot", "device"},
       "Memory of the slot's device; of a CPU slot its share of what the worker may use."},
      {"dropbp_worker_device_memory_used_bytes",
       kGauge,
       {"slot", "device"},
       "Memory in use on the slot's GPU, by whoever; only GPUs."},
      {"dropbp_worker_device_utilisation_ratio",
       kGauge,
       {"slot", "device"},
       "Share of the GPU's last sample period in which a kernel ran; only GPUs."},
      {"dropbp_worker_device_temperature_celsius",
       kGauge,
       {"slot", "device"},
       "Temperature of the GPU; only GPUs."},
      {"dropbp_worker_device_power_watts",
       kGauge,
       {"slot", "device"},
       "Power that the GPU draws; only GPUs."},
  };
}

MetricTable MakeTable() {
  MetricTable table = MachineMetrics();
  for (const MetricTable& part : {SessionMetrics(), TrainerMetrics(), DeviceMetrics()}) {
    table.insert(table.end(), part.begin(), part.end());
  }
  return table;
}

}  // namespace

const MetricTable& AgentTable() {
  static const MetricTable* table = new MetricTable(MakeTable());
  return *table;
}

}  // namespace dropbp::agent
