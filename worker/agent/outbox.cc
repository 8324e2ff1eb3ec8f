#include "worker/agent/outbox.h"

#include <algorithm>

namespace dropbp::agent {
namespace {

// A message object is larger than its wire form; the overhead is about this much.
constexpr size_t kFrameOverhead = 512;

size_t Cost(const v1::SessionRequest& frame) { return frame.ByteSizeLong() + kFrameOverhead; }

bool IsStepReport(const v1::SessionRequest& frame) {
  return frame.rank_report().report().has_step();
}

}  // namespace

int64_t Outbox::Push(v1::SessionRequest frame) {
  const int64_t sequence = next_sequence_++;
  frame.set_sequence(sequence);
  bytes_ += Cost(frame);
  frames_.push_back(std::move(frame));
  if (bytes_ > max_bytes_) Compact();
  return sequence;
}

const v1::SessionRequest* Outbox::NextUnsent() const {
  return unsent_ < frames_.size() ? &frames_[unsent_] : nullptr;
}

void Outbox::MarkSent() { ++unsent_; }

void Outbox::Acknowledge(int64_t sequence) {
  while (!frames_.empty() && frames_.front().sequence() <= sequence) {
    bytes_ -= Cost(frames_.front());
    frames_.pop_front();
    if (unsent_ > 0) --unsent_;
  }
}

void Outbox::Rewind() { unsent_ = 0; }

void Outbox::Compact() {
  Remove([](const v1::SessionRequest& frame) { return frame.has_rank_log(); });
  if (bytes_ <= max_bytes_ / 2) return;
  bool keep = false;
  Remove([&keep](const v1::SessionRequest& frame) {
    if (!IsStepReport(frame)) return false;
    keep = !keep;
    return keep;
  });
}

template <typename Predicate>
void Outbox::Remove(Predicate give_up) {
  std::deque<v1::SessionRequest> kept;
  size_t kept_sent = 0;
  bytes_ = 0;
  for (size_t i = 0; i < frames_.size(); ++i) {
    if (give_up(frames_[i])) continue;
    if (i < unsent_) ++kept_sent;
    bytes_ += Cost(frames_[i]);
    kept.push_back(std::move(frames_[i]));
  }
  given_up_ += static_cast<int64_t>(frames_.size() - kept.size());
  frames_ = std::move(kept);
  unsent_ = kept_sent;
}

}  // namespace dropbp::agent
