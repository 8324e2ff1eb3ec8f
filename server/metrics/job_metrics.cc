#include "server/metrics/job_metrics.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/run/proto_time.h"

namespace dropbp::server {
namespace {

void AddDescription(const RunSnapshot& run, Exposition& out) {
  const v1::Job& job = run.job;
  const std::string& id = job.job_id();
  out.Set("dropbp_job_info", 1,
          {id, job.spec().model(), v1::Job::State_Name(job.state()), job.plan().allocation(),
           job.plan().masks()});
  out.Set("dropbp_job_attempt", job.attempt(), {id});
  out.Set("dropbp_job_ranks", static_cast<double>(job.spec().resources().ranks()), {id});
  out.Set("dropbp_job_restarts_total", job.restarts(), {id});
  out.Set("dropbp_job_max_restarts", static_cast<double>(job.spec().max_restarts()), {id});
  out.Set("dropbp_job_non_finite_steps_total", static_cast<double>(run.non_finite_steps), {id});
}

// What is there from the first step on.
void AddProgress(const RunSnapshot& run, absl::Time now, Exposition& out) {
  const v1::Job& job = run.job;
  const std::string& id = job.job_id();
  const v1::JobProgress& progress = job.progress();
  out.Set("dropbp_job_step", static_cast<double>(progress.step()), {id});
  out.Set("dropbp_job_steps", static_cast<double>(progress.total_steps()), {id});
  out.Set("dropbp_job_tokens_total",
          static_cast<double>(progress.tokens() - run.counted_from.tokens()), {id});
  if (!progress.has_step_time()) return;
  out.Set("dropbp_job_eta_seconds",
          static_cast<double>(progress.eta().seconds()) + progress.eta().nanos() * 1e-9, {id});
  out.Set("dropbp_job_loss", progress.loss(), {id});
  out.Set("dropbp_job_learning_rate", progress.learning_rate(), {id});
  out.Set("dropbp_job_gradient_norm", progress.grad_norm(), {id});
  out.Set("dropbp_job_tokens_per_second", progress.tokens_per_second(), {id});
  out.Set("dropbp_job_last_step_timestamp_seconds", UnixSeconds(progress.step_time()), {id});
  if (!job.has_start_time()) return;
  absl::Time safe = FromProto(job.start_time());
  if (job.has_checkpoint()) safe = std::max(safe, FromProto(job.checkpoint().create_time()));
  out.Set("dropbp_job_work_at_risk_seconds", std::max(0.0, absl::ToDoubleSeconds(now - safe)),
          {id});
}

void AddEvaluation(const v1::Job& job, Exposition& out) {
  const v1::Evaluation& newest = job.progress().evaluation();
  if (newest.supervised_tokens() == 0) return;
  out.Set("dropbp_job_validation_loss", newest.loss(), {job.job_id()});
  out.Set("dropbp_job_validation_perplexity", std::exp(newest.loss()), {job.job_id()});
}

void AddCheckpoint(const v1::Job& job, Exposition& out) {
  if (!job.has_checkpoint()) return;
  const std::string& id = job.job_id();
  out.Set("dropbp_job_checkpoint_step", static_cast<double>(job.checkpoint().step()), {id});
  out.Set("dropbp_job_checkpoint_bytes", static_cast<double>(job.checkpoint().size_bytes()), {id});
}

void AddSavings(const RunSnapshot& run, Exposition& out) {
  const std::string& id = run.job.job_id();
  const v1::JobProgress& progress = run.job.progress();
  const v1::JobProgress& begin = run.counted_from;
  out.Set("dropbp_job_realised_drop_rate_ratio", progress.realised_drop_rate(), {id});
  out.Set("dropbp_job_backward_flops_done_total",
          progress.backward_flops_done() - begin.backward_flops_done(), {id});
  out.Set("dropbp_job_backward_flops_saved_total",
          progress.backward_flops_saved() - begin.backward_flops_saved(), {id});
  const int64_t sent = progress.gradient_bytes_sent() - begin.gradient_bytes_sent();
  const int64_t dense = progress.gradient_bytes_dense() - begin.gradient_bytes_dense();
  out.Set("dropbp_job_gradient_sent_bytes_total", static_cast<double>(sent), {id});
  out.Set("dropbp_job_gradient_avoided_bytes_total", static_cast<double>(dense - sent), {id});
}

void AddTimes(const RunSnapshot& run, Exposition& out) {
  const std::string& id = run.job.job_id();
  for (size_t rank = 0; rank < run.rank_compute_seconds.size(); ++rank) {
    if (run.rank_compute_seconds[rank] == 0) continue;  // no step yet
    out.Set("dropbp_job_rank_compute_seconds", run.rank_compute_seconds[rank],
            {id, absl::StrCat(rank)});
  }
  const v1::StepReport& step = run.newest_step;
  if (step.step_seconds() == 0) return;
  const std::pair<const char*, double> phases[] = {{"data", step.data_seconds()},
                                                   {"forward", step.forward_seconds()},
                                                   {"backward", step.backward_seconds()},
                                                   {"all_reduce", step.all_reduce_seconds()},
                                                   {"optimizer", step.optimizer_seconds()}};
  out.Set("dropbp_job_step_seconds", step.step_seconds(), {id});
  for (const auto& [phase, seconds] : phases) {
    out.Set("dropbp_job_step_phase_seconds", seconds, {id, phase});
  }
  out.Set("dropbp_job_peak_memory_bytes", static_cast<double>(step.peak_memory_bytes()), {id});
}

void AddPlan(const v1::Job& job, Exposition& out) {
  const std::string& id = job.job_id();
  const v1::DropPlan& plan = job.plan();
  out.Set("dropbp_job_target_drop_rate_ratio", plan.target_drop_rate(), {id});
  out.Set("dropbp_job_planned_drop_rate_ratio", plan.planned_drop_rate(), {id});
  out.Set("dropbp_job_plan_version", plan.version(), {id});
  out.Set("dropbp_job_speed_limit_ratio", plan.speed_limit(), {id});
  if (plan.has_probe_step()) out.Set("dropbp_job_probe_seconds", plan.probe_seconds(), {id});
  for (const v1::UnitPlan& unit : plan.units()) {
    const std::string layer = absl::StrCat(unit.layer());
    const char* kind = unit.kind() == v1::UnitPlan::ATTENTION ? "attention" : "mlp";
    out.Set("dropbp_job_unit_drop_rate_ratio", unit.drop_rate(), {id, layer, kind});
    if (unit.has_sensitivity()) {
      out.Set("dropbp_job_unit_sensitivity", unit.sensitivity(), {id, layer, kind});
    }
  }
}

}  // namespace

void AddJobMetrics(const RunSnapshot& run, absl::Time now, Exposition& out) {
  AddDescription(run, out);
  AddProgress(run, now, out);
  AddEvaluation(run.job, out);
  AddCheckpoint(run.job, out);
  AddSavings(run, out);
  AddTimes(run, out);
  AddPlan(run.job, out);
}

double UnixSeconds(const google::protobuf::Timestamp& time) {
  return static_cast<double>(time.seconds()) + time.nanos() * 1e-9;
}

}  // namespace dropbp::server
