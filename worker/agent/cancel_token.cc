#include "worker/agent/cancel_token.h"

namespace dropbp::agent {

void CancelToken::Cancel() {
  absl::MutexLock lock(&mutex_);
  if (cancelled_) return;
  cancelled_ = true;
  for (const auto& [id, callback] : callbacks_) callback();
}

bool CancelToken::cancelled() const {
  absl::MutexLock lock(&mutex_);
  return cancelled_;
}

bool CancelToken::WaitFor(absl::Duration duration) const {
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&cancelled_), duration);
}

CancelCallback::CancelCallback(const CancelToken& token, std::function<void()> callback)
    : token_(token) {
  absl::MutexLock lock(&token_.mutex_);
  if (token_.cancelled_) callback();
  id_ = token_.next_id_++;
  token_.callbacks_[id_] = std::move(callback);
}

CancelCallback::~CancelCallback() {
  absl::MutexLock lock(&token_.mutex_);
  token_.callbacks_.erase(id_);
}

}  // namespace dropbp::agent
