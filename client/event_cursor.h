// How much of a job's events was passed on.
#pragma once

#include <cstdint>
#include <utility>

#include "dropbp/v1/jobs.pb.h"

namespace dropbp::client {

// Lets a watch that was cut go on. Events are stored and asked for by their number; steps are not:
// a coordinator that died tells those again that it had told but not stored.
class EventCursor {
 public:
  explicit EventCursor(int64_t after_sequence) : sequence_(after_sequence) {}

  // Whether `event` is to be passed on: it is no step that was, and no earlier one of its attempt.
  bool Advance(const v1::JobEvent& event);

  // Number of the last event; 0 before the first.
  int64_t sequence() const { return sequence_; }

 private:
  int64_t sequence_;
  std::pair<int32_t, int64_t> step_ = {0, 0};  // attempt, step
};

}  // namespace dropbp::client
