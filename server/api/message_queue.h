// The writing half of a server stream: messages wait in a queue while one is on its way.
#pragma once

#include <grpcpp/grpcpp.h>

#include <deque>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace dropbp::server {

// `Reactor` is a gRPC callback reactor with StartWrite and Finish; it calls OnWriteDone from its
// own and Done from OnDone. Thread-safe. gRPC never runs a reaction inside StartWrite or Finish, so
// these are called under the lock.
template <typename Reactor, typename Message>
class MessageQueue {
 public:
  explicit MessageQueue(Reactor* reactor) : reactor_(reactor) {}

  // Sends after what was pushed before; lost if the stream ends first.
  void Push(Message message) {
    absl::MutexLock lock(&mutex_);
    if (end_ || finished_) return;
    waiting_.push_back(std::move(message));
    WriteNext();
  }

  // Ends the stream with this status after what was pushed. Only the first end counts.
  void End(const grpc::Status& status) {
    absl::MutexLock lock(&mutex_);
    if (end_) return;
    end_ = status;
    WriteNext();
  }

  // Ends the stream and forgets what was not sent.
  void Abort(const grpc::Status& status) {
    absl::MutexLock lock(&mutex_);
    waiting_.clear();
    if (!end_) end_ = status;
    WriteNext();
  }

  void OnWriteDone(bool ok) {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok) {
      waiting_.clear();
      if (!end_) end_ = grpc::Status(grpc::StatusCode::CANCELLED, "the stream is closed");
    }
    WriteNext();
  }

  size_t size() const {
    absl::MutexLock lock(&mutex_);
    return waiting_.size();
  }

 private:
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || finished_) return;
    if (!waiting_.empty()) {
      current_ = std::move(waiting_.front());
      waiting_.pop_front();
      writing_ = true;
      reactor_->StartWrite(&current_);
    } else if (end_) {
      finished_ = true;
      reactor_->Finish(*end_);
    }
  }

  Reactor* const reactor_;
  mutable absl::Mutex mutex_;
  std::deque<Message> waiting_ ABSL_GUARDED_BY(mutex_);
  Message current_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<grpc::Status> end_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace dropbp::server
