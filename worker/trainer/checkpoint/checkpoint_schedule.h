// When a job saves a checkpoint.
#pragma once

#include <cstdint>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/job/job_spec.h"

namespace dropbp::trainer {

// By steps it is a function of the step, the same on every rank. By time it is rank 0 that looks at
// its clock; the ranks share what it saw with the loss of the step, so that all save after the same
// one. Nothing that is trained depends on it. Not thread-safe.
class CheckpointSchedule {
 public:
  // `enabled` false: never due. `clock` outlives it.
  CheckpointSchedule(const CheckpointSpec& spec, int rank, bool enabled, const Clock& clock);

  // Whether this rank's clock asks for a checkpoint after the step that is under way.
  bool ClockAsks() const;
  // Whether one is due when `next_step` steps are done; `asked`: the clock of some rank asked.
  bool IsDue(int64_t next_step, bool asked) const;
  // One was saved, for whatever reason.
  void NoteSaved() { last_ = clock_.Now(); }

  bool enabled() const { return enabled_; }

 private:
  const bool enabled_;
  const bool watches_clock_;
  const int64_t every_steps_;
  const absl::Duration every_;
  const Clock& clock_;
  absl::Time last_;
};

}  // namespace dropbp::trainer
