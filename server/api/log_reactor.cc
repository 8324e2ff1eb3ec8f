#include "server/api/log_reactor.h"

#include <grpcpp/alarm.h>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "proto/support/grpc_status.h"

namespace dropbp::server {
namespace {

constexpr size_t kLogChunkBytes = 256 << 10;
constexpr auto kPollInterval = std::chrono::milliseconds(200);
// A trainer's last lines may come after its job has ended.
constexpr int kPollsAfterEnd = 5;

// Goes round the files of the job and sends what is new in each; with `follow` again and again
// until the job has ended.
class LogReactor : public grpc::ServerWriteReactor<v1::ReadJobLogsResponse> {
 public:
  LogReactor(Coordinator& coordinator, const LogStore& logs, v1::ReadJobLogsRequest request)
      : coordinator_(coordinator), logs_(logs), request_(std::move(request)) {}

  void Start(std::shared_ptr<LogReactor> self) {
    self_ = std::move(self);
    const absl::Status found = coordinator_.GetJob(request_.job_id()).status();
    absl::MutexLock lock(&mutex_);
    if (found.ok()) {
      Continue();
    } else {
      End(ToGrpcStatus(found));
    }
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    if (ok) {
      Continue();
    } else {
      End(grpc::Status::CANCELLED);
    }
  }

  void OnCancel() override {
    {
      absl::MutexLock lock(&mutex_);
      cancelled_ = true;
    }
    alarm_.Cancel();
  }
  void OnDone() override { self_.reset(); }

 private:
  using Key = std::pair<int, int>;  // attempt, rank

  void Continue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (cancelled_) return End(grpc::Status::CANCELLED);
    // Asked before reading, so that nothing written before the end is missed.
    const bool ended = coordinator_.HasEnded(request_.job_id());
    const absl::StatusOr<bool> found = NextChunk();
    if (!found.ok()) return End(ToGrpcStatus(found.status()));
    if (*found) {
      polls_left_ = kPollsAfterEnd;
      return StartWrite(&response_);
    }
    if (!request_.follow() || (ended && --polls_left_ < 0)) return End(grpc::Status::OK);
    // The alarm keeps its function until it is set again, so a strong reference would be a circle.
    alarm_.Set(std::chrono::system_clock::now() + kPollInterval,
               [reference = std::weak_ptr<LogReactor>(self_)](bool) {
                 const std::shared_ptr<LogReactor> self = reference.lock();
                 if (self == nullptr) return;
                 absl::MutexLock lock(&self->mutex_);
                 self->Continue();
               });
  }

  // Fills response_ with the next new lines; false if there are none.
  absl::StatusOr<bool> NextChunk() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const std::vector<LogName> names = logs_.List(request_.job_id());
    for (const LogName& name : names) {
      if (request_.has_rank() && request_.rank() != name.rank) continue;
      ASSIGN_OR_RETURN(int64_t * offset, OffsetOf(name, names));
      ASSIGN_OR_RETURN(std::string text, logs_.Read(name, *offset, kLogChunkBytes));
      if (text.empty()) continue;
      *offset += static_cast<int64_t>(text.size());
      response_.set_rank(name.rank);
      response_.set_attempt(name.attempt);
      response_.set_text(std::move(text));
      return true;
    }
    return false;
  }

  absl::StatusOr<int64_t*> OffsetOf(const LogName& name, const std::vector<LogName>& names)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto [entry, is_new] = offsets_.try_emplace(Key{name.attempt, name.rank}, 0);
    if (is_new && first_round_attempt_ == 0) first_round_attempt_ = names.back().attempt;
    if (is_new && request_.tail_lines() > 0 && name.attempt <= first_round_attempt_) {
      // Only the newest attempt's last lines; what comes later is passed on whole.
      const int lines = name.attempt == first_round_attempt_ ? request_.tail_lines() : 0;
      ASSIGN_OR_RETURN(entry->second, logs_.TailOffset(name, lines));
    }
    return &entry->second;
  }

  void End(const grpc::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!std::exchange(ended_, true)) Finish(status);
  }

  Coordinator& coordinator_;
  const LogStore& logs_;
  const v1::ReadJobLogsRequest request_;
  std::shared_ptr<LogReactor> self_;  // until OnDone
  grpc::Alarm alarm_;
  absl::Mutex mutex_;
  v1::ReadJobLogsResponse response_ ABSL_GUARDED_BY(mutex_);
  std::map<Key, int64_t> offsets_ ABSL_GUARDED_BY(mutex_);
  int first_round_attempt_ ABSL_GUARDED_BY(mutex_) = 0;
  int polls_left_ ABSL_GUARDED_BY(mutex_) = kPollsAfterEnd;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

grpc::ServerWriteReactor<v1::ReadJobLogsResponse>* StartReadLogs(
    Coordinator& coordinator, const LogStore& logs, const v1::ReadJobLogsRequest& request) {
  auto reactor = std::make_shared<LogReactor>(coordinator, logs, request);
  reactor->Start(reactor);
  return reactor.get();
}

}  // namespace dropbp::server
