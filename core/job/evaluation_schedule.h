// When a job is evaluated, and when that ends it: pure functions of the job, the same on every rank
// and for the coordinator.
#pragma once

#include <cstdint>

#include "core/job/job_spec.h"

namespace dropbp {

// The evaluation with the least validation loss so far. Losses that are not finite do not count.
struct BestEvaluation {
  int64_t step = 0;  // optimizer steps done; 0: there was none
  double loss = 0;

  // Whether a loss is smaller; of equal ones the first stays.
  bool IsBeatenBy(double other) const;
  bool operator==(const BestEvaluation&) const = default;
};

// Immutable.
class EvaluationSchedule {
 public:
  // `held_out`: samples that are evaluated on. Without them and without prompts no evaluation is
  // ever due.
  EvaluationSchedule(const EvaluationSpec& spec, int64_t total_steps, int64_t held_out);

  // Whether there is an evaluation when so many steps are done: after every `every` steps and after
  // the last one.
  bool IsDue(int64_t steps_done) const;
  // Whether the job ends with the evaluation after `step` steps: none of the newest
  // evaluation.patience ones has been the best.
  bool EndsJob(int64_t step, const BestEvaluation& best) const;

 private:
  // Evaluations after more than `from` steps up to `to`.
  int64_t Count(int64_t from, int64_t to) const;

  int64_t total_steps_;
  int64_t every_;     // 0: never
  int64_t patience_;  // 0: none
};

// Forward passes that an evaluation takes on a rank, at most: micro-batches of held-out samples,
// and tokens of answers.
int64_t EvaluationPasses(const JobSpec& spec, int64_t held_out);

// Samples that dataset.validation_share holds out of `samples`: the nearest whole number.
int64_t HeldOutSamples(double share, int64_t samples);

}  // namespace dropbp
