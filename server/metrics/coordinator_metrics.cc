#include "server/metrics/coordinator_metrics.h"

#include <map>
#include <utility>

#include "core/metrics/machine_metrics.h"
#include "core/security/tls_files.h"
#include "server/metrics/coordinator_table.h"
#include "server/metrics/job_metrics.h"
#include "server/run/proto_time.h"

namespace dropbp::server {
namespace {

void AddJobStates(const CoordinatorSnapshot& snapshot, Exposition& out) {
  for (int state = v1::Job::QUEUED; state <= v1::Job::CANCELLED; ++state) {
    const auto found = snapshot.jobs.find(static_cast<v1::Job::State>(state));
    const int64_t count = found == snapshot.jobs.end() ? 0 : found->second;
    out.Set("dropbp_jobs", static_cast<double>(count), {v1::Job::State_Name(state)});
  }
  out.Set("dropbp_jobs_without_series", static_cast<double>(snapshot.running_left_out));
  out.Set("dropbp_queue_oldest_wait_seconds", absl::ToDoubleSeconds(snapshot.oldest_wait));
}

void AddWorkers(const CoordinatorSnapshot& snapshot, Exposition& out) {
  int connected = 0;
  std::map<std::string, std::pair<int, int>> slots = {{"cpu", {0, 0}}, {"cuda", {0, 0}}};
  for (const v1::Worker& worker : snapshot.workers) {
    connected += worker.connected();
    out.Set("dropbp_worker_last_seen_timestamp_seconds", UnixSeconds(worker.last_seen_time()),
            {worker.worker_id()});
    for (const v1::DeviceSlot& slot : worker.slots()) {
      auto& [total, busy] = slots[slot.kind() == v1::DeviceSlot::CUDA ? "cuda" : "cpu"];
      ++total;
      busy += !slot.job_id().empty();
    }
  }
  out.Set("dropbp_workers_connected", connected);
  out.Set("dropbp_workers_known", static_cast<double>(snapshot.workers.size()));
  for (const auto& [kind, count] : slots) {
    out.Set("dropbp_slots", count.first, {kind});
    out.Set("dropbp_slots_busy", count.second, {kind});
  }
}

void AddCertificate(const std::string& path, Exposition& out) {
  if (path.empty()) return;
  const absl::StatusOr<absl::Time> end = CertificateEnd(path);
  if (!end.ok()) return;
  out.Set("dropbp_certificate_not_after_timestamp_seconds",
          static_cast<double>(absl::ToUnixSeconds(*end)));
}

}  // namespace

std::vector<prometheus::MetricFamily> CoordinatorMetrics::Collect() const {
  const CoordinatorSnapshot snapshot = coordinator_.Snapshot(kMaxJobsWithSeries);
  Exposition out(CoordinatorTable());
  AddMachineMetrics("data", data_dir_, out);
  events_.AddTo(out);
  AddJobStates(snapshot, out);
  AddWorkers(snapshot, out);
  AddCertificate(certificate_, out);
  for (const RunSnapshot& run : snapshot.running) AddJobMetrics(run, snapshot.now, out);
  return out.Take();
}

}  // namespace dropbp::server
