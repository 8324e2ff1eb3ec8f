#include "server/run/progress.h"

#include <algorithm>

#include "server/run/proto_time.h"

namespace dropbp::server {
namespace {

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

BestEvaluation BestOf(const v1::JobProgress& progress) {
  return {.step = progress.best_evaluation().step(), .loss = progress.best_evaluation().loss()};
}

void AddEvaluation(const v1::Evaluation& evaluation, v1::JobProgress& progress) {
  *progress.mutable_evaluation() = evaluation;
  if (evaluation.supervised_tokens() == 0 || !BestOf(progress).IsBeatenBy(evaluation.loss())) {
    return;
  }
  *progress.mutable_best_evaluation() = evaluation;
  progress.mutable_best_evaluation()->clear_samples();
}

bool ProgressTracker::Count(const v1::Evaluation& evaluation) {
  if (evaluation.step() <= progress_.evaluation().step()) return false;
  AddEvaluation(evaluation, progress_);
  return true;
}

void ProgressTracker::Restore(const v1::JobProgress& progress,
                              const std::vector<v1::StepReport>& recent) {
  progress_ = progress;
  recent_.assign(recent.begin(), recent.end());
}

bool ProgressTracker::Count(int rank, Placement& placement, const v1::StepReport& report,
                            absl::Time now) {
  if (report.step() <= placement.last_step) return false;
  placement.last_step = report.step();
  v1::JobProgress& sum = progress_;
  sum.set_backward_flops_done(sum.backward_flops_done() + report.backward_flops_done());
  sum.set_backward_flops_saved(sum.backward_flops_saved() + report.backward_flops_saved());
  const double all = sum.backward_flops_done() + sum.backward_flops_saved();
  sum.set_realised_drop_rate(all > 0 ? sum.backward_flops_saved() / all : 0);
  if (rank == 0) CountRankZero(report, now);
  return true;
}

void ProgressTracker::CountRankZero(const v1::StepReport& report, absl::Time now) {
  recent_.push_back(report);
  if (recent_.size() > kRecentSteps) recent_.pop_front();
  v1::JobProgress& sum = progress_;
  sum.set_step(report.step() + 1);
  sum.set_loss(report.loss());
  sum.set_learning_rate(report.learning_rate());
  sum.set_grad_norm(report.grad_norm());
  sum.set_gradient_bytes_sent(sum.gradient_bytes_sent() + report.gradient_bytes_sent());
  sum.set_gradient_bytes_dense(sum.gradient_bytes_dense() + report.gradient_bytes_dense());
  sum.set_tokens(sum.tokens() + report.tokens());
  *sum.mutable_step_time() = ToProto(now);
  std::vector<double> rates;
  for (const v1::StepReport& step : recent_) {
    if (step.step_seconds() > 0) {
      rates.push_back(static_cast<double>(step.tokens()) / step.step_seconds());
    }
  }
  sum.set_tokens_per_second(Median(rates));
  const int64_t left = std::max<int64_t>(0, sum.total_steps() - sum.step());
  *sum.mutable_eta() = ToProto(absl::Seconds(MedianStepSeconds() * static_cast<double>(left)));
}

double ProgressTracker::MedianStepSeconds() const {
  std::vector<double> seconds;
  for (const v1::StepReport& step : recent_) seconds.push_back(step.step_seconds());
  return Median(seconds);
}

v1::StepReport ProgressTracker::NewestStep() const {
  return recent_.empty() ? v1::StepReport() : recent_.back();
}

}  // namespace dropbp::server
