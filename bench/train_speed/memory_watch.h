// Bytes of tensors that are allocated while it lives, on the CPU and on GPUs, as torch's allocators
// report them. What was there before it counts nothing, so the highest value is what a step needs
// beyond the model's own state.
#pragma once

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>

namespace dropbp::trainer {

class MemoryWatch {
 public:
  MemoryWatch()
      : counter_(std::make_shared<Counter>()),
        guard_(c10::DebugInfoKind::PROFILER_STATE, counter_) {}

  // Counts from here on; a tensor that was seen before and is freed counts negative.
  void Restart() { counter_->peak = counter_->held = 0; }

  // Allocated since the last Restart and not freed.
  int64_t held_bytes() const { return counter_->held; }
  int64_t peak_bytes() const { return counter_->peak; }

 private:
  // Backward of GPU operations runs on threads of autograd, which inherit the guard.
  struct Counter : c10::MemoryReportingInfoBase {
    void reportMemoryUsage(void*, int64_t bytes, size_t, size_t, c10::Device) override {
      const int64_t now = held += bytes;
      int64_t most = peak;
      while (now > most && !peak.compare_exchange_weak(most, now)) {
      }
    }
    bool memoryProfilingEnabled() const override { return true; }

    std::atomic<int64_t> held = 0;
    std::atomic<int64_t> peak = 0;
  };

  std::shared_ptr<Counter> counter_;
  c10::DebugInfoGuard guard_;
};

}  // namespace dropbp::trainer
