#include "server/metrics/coordinator_table.h"

#include "core/metrics/machine_metrics.h"
#include "server/metrics/job_metrics.h"

namespace dropbp::server {
namespace {

constexpr MetricKind kHistogram = MetricKind::kHistogram;

MetricTable QueueMetrics() {
  using enum MetricKind;
  return {
      {"dropbp_jobs", kGauge, {"state"}, "Jobs in the store, by state."},
      {"dropbp_jobs_without_series",
       kGauge,
       {},
       "Running jobs that have no `dropbp_job_*` series because the oldest 50 have them already."},
      {"dropbp_jobs_ended_total",
       kCounter,
       {"state"},
       "Jobs that ended since the coordinator started, by final state."},
      {"dropbp_restarts_total",
       kCounter,
       {"charged"},
       "Gangs that had to be rebuilt since the coordinator started; `charged` tells whether to the "
       "job's max_restarts (a crash, a stall) or not (a lost or stopped worker)."},
      {"dropbp_queue_oldest_wait_seconds",
       kGauge,
       {},
       "How long the oldest of the QUEUED jobs exists; 0 if there is none."},
      {"dropbp_queue_wait_seconds",
       kHistogram,
       {},
       "Time from a job's creation to its first attempt.",
       {1, 5, 15, 60, 300, 900, 3600, 14400, 86400}},
      {"dropbp_attempt_start_seconds",
       kHistogram,
       {},
       "Time from the placement of an attempt until all its ranks have met.",
       {1, 2.5, 5, 10, 30, 60, 120, 300, 600}},
      {"dropbp_schedule_duration_seconds",
       kHistogram,
       {},
       "Time of one round of the scheduler over the whole queue.",
       {0.00001, 0.0001, 0.001, 0.01, 0.1, 1}},
      {"dropbp_steps_total",
       kCounter,
       {},
       "Optimizer steps of all jobs since the coordinator started."},
      {"dropbp_tokens_total", kCounter, {}, "Tokens trained in these steps, padding not counted."},
      {"dropbp_non_finite_steps_total",
       kCounter,
       {},
       "Steps among them whose loss or gradient norm was not a finite number; such a step changes "
       "no weights."},
  };
}

MetricTable ServiceMetrics() {
  using enum MetricKind;
  return {
      {"dropbp_workers_connected", kGauge, {}, "Workers whose session is open."},
      {"dropbp_workers_known",
       kGauge,
       {},
       "Workers that are connected or whose lease has not run out yet."},
      {"dropbp_workers_lost_total",
       kCounter,
       {},
       "Workers whose lease ran out since the coordinator started. One that was stopped, and whose "
       "trainers had ended, is not counted."},
      {"dropbp_worker_last_seen_timestamp_seconds",
       kGauge,
       {"worker"},
       "When a known worker was last heard."},
      {"dropbp_slots", kGauge, {"kind"}, "Device slots of known workers; kind is cpu or cuda."},
      {"dropbp_slots_busy", kGauge, {"kind"}, "Those of them that have a trainer."},
      {"dropbp_rpc_total",
       kCounter,
       {"method", "code"},
       "RPCs answered, by method and status code; methods that nobody serves are `other`."},
      {"dropbp_rpc_duration_seconds",
       kHistogram,
       {"method"},
       "Time from the arrival of an RPC to its status; streams last long.",
       {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}},
      {"dropbp_store_commit_duration_seconds",
       kHistogram,
       {},
       "Time of a writing transaction of the job store, from its begin until it is on the disk.",
       {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5,
        5}},
      {"dropbp_store_failures_total",
       kCounter,
       {},
       "Transactions that could not be stored: disk full, I/O error."},
      {"dropbp_certificate_not_after_timestamp_seconds",
       kGauge,
       {},
       "When the coordinator's certificate stops to be valid; only with TLS."},
  };
}

MetricTable MakeTable() {
  MetricTable table = MachineMetrics();
  for (const MetricTable& part : {QueueMetrics(), ServiceMetrics(), JobMetrics()}) {
    table.insert(table.end(), part.begin(), part.end());
  }
  return table;
}

}  // namespace

const MetricTable& CoordinatorTable() {
  static const MetricTable* table = new MetricTable(MakeTable());
  return *table;
}

}  // namespace dropbp::server
