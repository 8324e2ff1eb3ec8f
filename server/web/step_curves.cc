#include "server/web/step_curves.h"

#include <algorithm>

namespace dropbp::server {
namespace {

// Reports read under one hold of the coordinator's lock: a few milliseconds.
constexpr int kChunk = 2000;
constexpr int kMostChunks = 25;  // of one look

CurvePoint PointOf(const v1::StepReport& report) {
  CurvePoint point = {
      .step = report.step(), .loss = report.loss(), .learning_rate = report.learning_rate()};
  if (report.step_seconds() > 0) {
    point.tokens_per_second = static_cast<double>(report.tokens()) / report.step_seconds();
  }
  return point;
}

v1::StepHistory Answer(int attempt, const ThinCurve& curve) {
  v1::StepHistory history;
  history.set_attempt(attempt);
  history.set_known_steps(curve.added());
  for (const CurvePoint& point : curve.Points()) {
    history.add_step(point.step + 1);
    history.add_loss(point.loss);
    history.add_learning_rate(point.learning_rate);
    history.add_tokens_per_second(point.tokens_per_second);
  }
  return history;
}

// Thinned out like the steps.
void AddEvaluations(const std::vector<v1::Evaluation>& evaluations, v1::StepHistory& history) {
  ThinCurve curve(StepCurves::kMostPoints);
  for (const v1::Evaluation& evaluation : evaluations) {
    if (evaluation.supervised_tokens() > 0)
      curve.Add({.step = evaluation.step(), .loss = evaluation.loss()});
  }
  for (const CurvePoint& point : curve.Points()) {
    history.add_evaluation_step(point.step);
    history.add_validation_loss(point.loss);
  }
}

}  // namespace

absl::Status StepCurves::ReadNew(const std::string& job_id, Kept& kept) {
  for (int chunk = 0; chunk < kMostChunks; ++chunk) {
    ASSIGN_OR_RETURN(const StepPage page,
                     coordinator_.StepsFrom(job_id, kept.curve.next_step(), kChunk));
    if (page.attempt != kept.attempt) {  // steps may have been made again
      const bool nothing_kept = kept.curve.next_step() == 0;
      kept.attempt = page.attempt;
      kept.curve = ThinCurve(kMostPoints);
      if (!nothing_kept) continue;
    }
    for (const v1::StepReport& report : page.steps) kept.curve.Add(PointOf(report));
    if (page.steps.size() < kChunk) break;
  }
  return absl::OkStatus();
}

void StepCurves::ForgetOldest() {
  const auto oldest = std::min_element(
      kept_.begin(), kept_.end(),
      [](const auto& a, const auto& b) { return a.second.last_look < b.second.last_look; });
  kept_.erase(oldest);
}

absl::StatusOr<v1::StepHistory> StepCurves::Look(const std::string& job_id) {
  absl::MutexLock lock(&mutex_);
  Kept& kept = kept_[job_id];
  kept.last_look = ++looks_;
  const absl::Status status = ReadNew(job_id, kept);
  if (!status.ok()) {
    kept_.erase(job_id);
    return status;
  }
  ASSIGN_OR_RETURN(const std::vector<v1::Evaluation> evaluations, coordinator_.Evaluations(job_id));
  v1::StepHistory history = Answer(kept.attempt, kept.curve);
  AddEvaluations(evaluations, history);
  if (kept_.size() > kMostJobs) ForgetOldest();
  return history;
}

}  // namespace dropbp::server
