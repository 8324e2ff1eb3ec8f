#include "worker/trainer/checkpoint/checkpoint_schedule.h"

namespace dropbp::trainer {

CheckpointSchedule::CheckpointSchedule(const CheckpointSpec& spec, int rank, bool enabled,
                                       const Clock& clock)
    : enabled_(enabled),
      watches_clock_(enabled && rank == 0 && spec.every_steps == 0 && spec.every_minutes > 0),
      every_steps_(spec.every_steps),
      every_(absl::Minutes(spec.every_minutes)),
      clock_(clock),
      last_(clock.Now()) {}

bool CheckpointSchedule::ClockAsks() const {
  return watches_clock_ && clock_.Now() - last_ >= every_;
}

bool CheckpointSchedule::IsDue(int64_t next_step, bool asked) const {
  if (!enabled_) return false;
  return every_steps_ > 0 ? next_step % every_steps_ == 0 : asked;
}

}  // namespace dropbp::trainer
