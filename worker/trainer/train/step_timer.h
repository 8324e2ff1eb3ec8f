// Where the time of an optimizer step goes.
#pragma once

#include <c10/core/Device.h>

#include <memory>

#include "worker/trainer/link/coordinator_link.h"

namespace dropbp::trainer {

// The named phases of a step; each ends at a mark.
enum class Phase { kData, kForward, kBackward, kAllReduce, kOptimizer };

// Begins when it is made. On CUDA a mark is an event in the device's stream, so that marking never
// waits for the device. Not thread-safe.
class StepTimer {
 public:
  explicit StepTimer(c10::Device device);
  ~StepTimer();

  // Everything since the last mark belonged to `phase`. A phase may be marked often; its times add
  // up.
  void Mark(Phase phase);

  // Waits for the last mark and fills in the seconds of the report.
  void Write(StepReport& report) const;

 private:
  class Marks;
  std::unique_ptr<Marks> marks_;
};

}  // namespace dropbp::trainer
