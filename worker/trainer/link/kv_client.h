// The rendezvous store as a trainer sees it: questions go up the link, answers come back by request
// id.
#pragma once

#include <functional>
#include <map>
#include <optional>

#include "absl/synchronization/mutex.h"
#include "dropbp/v1/trainer_link.pb.h"
#include "worker/trainer/link/coordinator_link.h"

namespace dropbp::trainer {

// Thread-safe. `send` queues a request and does not block.
class KvClient : public RendezvousStore {
 public:
  using Send = std::function<void(v1::KvRequest)>;
  explicit KvClient(Send send) : send_(std::move(send)) {}

  absl::Status Set(const std::string& key, const std::string& value) override;
  absl::StatusOr<std::string> Get(const std::string& key, absl::Duration timeout) override;
  absl::StatusOr<int64_t> Add(const std::string& key, int64_t delta) override;
  absl::StatusOr<bool> Check(const std::vector<std::string>& keys) override;
  absl::Status Wait(const std::vector<std::string>& keys, absl::Duration timeout) override;
  absl::StatusOr<bool> Delete(const std::string& key) override;
  absl::StatusOr<std::string> CompareSet(const std::string& key, const std::string& expected,
                                         const std::string& value) override;

  // Hands an answer to whoever waits for it; one that nobody waits for is ignored.
  void Answer(const v1::KvResponse& response);
  // Fails every waiting and every later call with UNAVAILABLE; `send` is not called any more once
  // it returns.
  void Close();

 private:
  // Sends a request and waits for its answer; DEADLINE_EXCEEDED, UNAVAILABLE.
  absl::StatusOr<v1::KvResponse> Ask(v1::KvRequest request, absl::Duration timeout);

  const Send send_;
  absl::Mutex mutex_;
  int64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<int64_t, std::optional<v1::KvResponse>> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace dropbp::trainer
