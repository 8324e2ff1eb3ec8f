#include "server/metrics/coordinator_metrics.h"

#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace dropbp::server {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<prometheus::ClientMetric::Label>;

// Collects series into families, in order of first use.
class Families {
 public:
  void Gauge(const char* name, const char* help, double value, Labels labels = {}) {
    Series(name, help, MetricType::Gauge, std::move(labels)).gauge.value = value;
  }
  void Counter(const char* name, const char* help, double value, Labels labels = {}) {
    Series(name, help, MetricType::Counter, std::move(labels)).counter.value = value;
  }
  std::vector<MetricFamily> Take() { return std::move(families_); }

 private:
  prometheus::ClientMetric& Series(const char* name, const char* help, MetricType type,
                                   Labels labels) {
    const auto [entry, is_new] = index_.try_emplace(name, families_.size());
    if (is_new) families_.push_back({name, help, type, {}});
    prometheus::ClientMetric& metric = families_[entry->second].metric.emplace_back();
    metric.label = std::move(labels);
    return metric;
  }

  std::vector<MetricFamily> families_;
  std::map<std::string, size_t> index_;
};

void AddCluster(const CoordinatorSnapshot& snapshot, Families& out) {
  for (int state = v1::Job::QUEUED; state <= v1::Job::CANCELLED; ++state) {
    const auto found = snapshot.jobs.find(static_cast<v1::Job::State>(state));
    out.Gauge("dropbp_jobs", "Jobs by state.",
              found == snapshot.jobs.end() ? 0 : static_cast<double>(found->second),
              {{"state", v1::Job::State_Name(state)}});
  }
  int connected = 0;
  std::map<std::string, std::pair<int, int>> slots = {{"cpu", {0, 0}}, {"cuda", {0, 0}}};
  for (const v1::Worker& worker : snapshot.workers) {
    connected += worker.connected();
    for (const v1::DeviceSlot& slot : worker.slots()) {
      auto& [total, busy] = slots[slot.kind() == v1::DeviceSlot::CUDA ? "cuda" : "cpu"];
      ++total;
      busy += !slot.job_id().empty();
    }
  }
  out.Gauge("dropbp_workers_connected", "Workers whose session is open.", connected);
  for (const auto& [kind, count] : slots) {
    out.Gauge("dropbp_slots", "Device slots of known workers.", count.first, {{"kind", kind}});
    out.Gauge("dropbp_slots_busy", "Device slots with a trainer.", count.second, {{"kind", kind}});
  }
  out.Counter("dropbp_store_commits_total", "Transactions of the job store.",
              static_cast<double>(snapshot.store.commits));
  out.Counter("dropbp_store_commit_seconds_total", "Time spent in these transactions.",
              absl::ToDoubleSeconds(snapshot.store.seconds));
}

void AddProgress(const v1::Job& job, const Labels& labels, Families& out) {
  const v1::JobProgress& progress = job.progress();
  out.Gauge("dropbp_job_step", "Optimizer steps done.", static_cast<double>(progress.step()),
            labels);
  out.Gauge("dropbp_job_steps", "Optimizer steps of the whole job.",
            static_cast<double>(progress.total_steps()), labels);
  out.Gauge("dropbp_job_loss", "Mean loss of the newest step.", progress.loss(), labels);
  out.Gauge("dropbp_job_learning_rate", "Learning rate of the newest step.",
            progress.learning_rate(), labels);
  out.Gauge("dropbp_job_gradient_norm", "Global gradient norm before clipping.",
            progress.grad_norm(), labels);
  out.Gauge("dropbp_job_tokens_per_second", "Median of recent steps, over all ranks.",
            progress.tokens_per_second(), labels);
  out.Counter("dropbp_job_tokens_total", "Tokens trained in this attempt.",
              static_cast<double>(progress.tokens()), labels);
  out.Gauge("dropbp_job_realised_drop_rate_ratio", "Backward FLOPs not done, of all so far.",
            progress.realised_drop_rate(), labels);
  out.Counter("dropbp_job_backward_flops_done_total", "Backward FLOPs of droppable units done.",
              progress.backward_flops_done(), labels);
  out.Counter("dropbp_job_backward_flops_saved_total", "Backward FLOPs saved by dropping.",
              progress.backward_flops_saved(), labels);
  out.Counter("dropbp_job_gradient_sent_bytes_total", "Bytes each rank handed to all-reduce.",
              static_cast<double>(progress.gradient_bytes_sent()), labels);
  out.Counter("dropbp_job_gradient_avoided_bytes_total", "Bytes not sent because of dropping.",
              static_cast<double>(progress.gradient_bytes_dense() - progress.gradient_bytes_sent()),
              labels);
  out.Counter("dropbp_job_restarts_total", "Restarts charged to max_restarts.", job.restarts(),
              labels);
  if (progress.has_step_time()) {
    out.Gauge(
        "dropbp_job_last_step_timestamp_seconds", "When the newest step was reported.",
        static_cast<double>(progress.step_time().seconds()) + progress.step_time().nanos() * 1e-9,
        labels);
  }
}

void AddPhases(const v1::StepReport& step, const Labels& labels, Families& out) {
  const std::pair<const char*, double> phases[] = {{"data", step.data_seconds()},
                                                   {"forward", step.forward_seconds()},
                                                   {"backward", step.backward_seconds()},
                                                   {"all_reduce", step.all_reduce_seconds()},
                                                   {"optimizer", step.optimizer_seconds()}};
  out.Gauge("dropbp_job_step_seconds", "Seconds of the newest step.", step.step_seconds(), labels);
  for (const auto& [phase, seconds] : phases) {
    Labels with_phase = labels;
    with_phase.push_back({"phase", phase});
    out.Gauge("dropbp_job_step_phase_seconds", "Seconds of the newest step, by phase.", seconds,
              std::move(with_phase));
  }
}

void AddPlan(const v1::DropPlan& plan, const Labels& labels, Families& out) {
  out.Gauge("dropbp_job_target_drop_rate_ratio", "Drop rate that was asked for.",
            plan.target_drop_rate(), labels);
  out.Gauge("dropbp_job_planned_drop_rate_ratio", "Drop rate of every step, after rounding.",
            plan.planned_drop_rate(), labels);
  out.Gauge("dropbp_job_plan_version", "Number of the plan in force.", plan.version(), labels);
  if (plan.has_probe_step()) {
    out.Gauge("dropbp_job_probe_seconds", "Seconds of the latest sensitivity probe.",
              plan.probe_seconds(), labels);
  }
  for (const v1::UnitPlan& unit : plan.units()) {
    Labels with_unit = labels;
    with_unit.push_back({"layer", absl::StrCat(unit.layer())});
    with_unit.push_back({"kind", unit.kind() == v1::UnitPlan::ATTENTION ? "attention" : "mlp"});
    out.Gauge("dropbp_job_unit_drop_rate_ratio", "Probability that the unit is dropped.",
              unit.drop_rate(), with_unit);
    if (unit.has_sensitivity()) {
      out.Gauge("dropbp_job_unit_sensitivity", "Gradient sensitivity S_u of the unit.",
                unit.sensitivity(), with_unit);
    }
  }
}

}  // namespace

std::vector<MetricFamily> MetricsOf(const CoordinatorSnapshot& snapshot) {
  Families out;
  AddCluster(snapshot, out);
  for (const RunSnapshot& run : snapshot.running) {
    const Labels labels = {{"job", run.job.job_id()}};
    AddProgress(run.job, labels, out);
    AddPhases(run.newest_step, labels, out);
    AddPlan(run.job.plan(), labels, out);
  }
  return out.Take();
}

std::vector<MetricFamily> CoordinatorMetrics::Collect() const {
  return MetricsOf(coordinator_.Snapshot());
}

}  // namespace dropbp::server
