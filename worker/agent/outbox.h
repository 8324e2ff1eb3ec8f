// What the agent has to tell the coordinator, kept until it is acknowledged.
#pragma once

#include <cstdint>
#include <deque>

#include "dropbp/v1/worker_gateway.pb.h"

namespace dropbp::agent {

// Numbers frames, hands them out in order, and after a reconnect hands out again what was not
// acknowledged. Bounded: when the coordinator is away for long, log lines are given up first, then
// step reports are thinned out (every other one, oldest first). Everything else, exits and results
// above all, is kept whatever it costs. Numbers of frames that were given up are not used again, so
// the numbers rise but may have gaps. Not thread-safe.
class Outbox {
 public:
  static constexpr size_t kDefaultMaxBytes = 64 << 20;
  explicit Outbox(size_t max_bytes = kDefaultMaxBytes) : max_bytes_(max_bytes) {}

  // Appends a frame and gives it the next sequence number, which is returned.
  int64_t Push(v1::SessionRequest frame);

  // The oldest frame that was not handed out yet; nullptr if there is none. Valid until the next
  // change.
  const v1::SessionRequest* NextUnsent() const;
  // Counts the frame of NextUnsent() as handed out.
  void MarkSent();

  // Forgets all frames up to this number.
  void Acknowledge(int64_t sequence);
  // A new stream begins: all that is left is to be handed out again.
  void Rewind();

  // Whether all frames up to this number were acknowledged or given up.
  bool IsSettled(int64_t sequence) const {
    return frames_.empty() || frames_.front().sequence() > sequence;
  }
  bool empty() const { return frames_.empty(); }
  size_t size() const { return frames_.size(); }
  size_t bytes() const { return bytes_; }
  // Frames that were given up so far.
  int64_t given_up() const { return given_up_; }
  // Whether some frame was handed out and is not acknowledged.
  bool awaits_acknowledgement() const { return unsent_ > 0; }

 private:
  void Compact();
  // Removes the frames for which `give_up` is true.
  template <typename Predicate>
  void Remove(Predicate give_up);

  const size_t max_bytes_;
  std::deque<v1::SessionRequest> frames_;
  size_t unsent_ = 0;  // index of the first frame that was not handed out
  size_t bytes_ = 0;
  int64_t given_up_ = 0;
  int64_t next_sequence_ = 1;
};

}  // namespace dropbp::agent
