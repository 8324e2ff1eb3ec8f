#include "core/job/evaluation_schedule.h"

#include <algorithm>
#include <cmath>

namespace dropbp {

bool BestEvaluation::IsBeatenBy(double other) const {
  return std::isfinite(other) && (step == 0 || other < loss);
}

EvaluationSchedule::EvaluationSchedule(const EvaluationSpec& spec, int64_t total_steps,
                                       int64_t held_out)
    : total_steps_(total_steps),
      every_(spec.every_steps > 0 ? spec.every_steps : std::max<int64_t>(1, total_steps / 10)),
      patience_(held_out > 0 ? spec.patience : 0) {
  if (held_out == 0 && spec.prompts.empty()) every_ = 0;
}

bool EvaluationSchedule::IsDue(int64_t steps_done) const {
  if (every_ == 0 || steps_done < 1) return false;
  return steps_done == total_steps_ || steps_done % every_ == 0;
}

int64_t EvaluationSchedule::Count(int64_t from, int64_t to) const {
  const bool last = to == total_steps_ && from < to && to % every_ != 0;
  return to / every_ - from / every_ + (last ? 1 : 0);
}

bool EvaluationSchedule::EndsJob(int64_t step, const BestEvaluation& best) const {
  return patience_ > 0 && IsDue(step) && Count(best.step, step) >= patience_;
}

int64_t EvaluationPasses(const JobSpec& spec, int64_t held_out) {
  const int64_t at_once = spec.training.micro_batch_size * spec.resources.ranks;
  const int64_t answers = static_cast<int64_t>(spec.evaluation.prompts.size());
  const int64_t answer_batches =
      (answers + spec.training.micro_batch_size - 1) / spec.training.micro_batch_size;
  return (held_out + at_once - 1) / at_once + answer_batches * spec.evaluation.max_new_tokens;
}

int64_t HeldOutSamples(double share, int64_t samples) {
  return std::llround(share * static_cast<double>(samples));
}

}  // namespace dropbp
