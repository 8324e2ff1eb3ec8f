#include <map>

#include "absl/strings/numbers.h"
#include "absl/synchronization/mutex.h"
#include "worker/trainer/link/coordinator_link.h"

namespace dropbp::trainer {
namespace {

class MemoryStore : public RendezvousStore {
 public:
  absl::Status Set(const std::string& key, const std::string& value) override {
    absl::MutexLock lock(&mutex_);
    values_[key] = value;
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> Get(const std::string& key, absl::Duration timeout) override {
    RETURN_IF_ERROR(Wait({key}, timeout));
    absl::MutexLock lock(&mutex_);
    const auto found = values_.find(key);
    if (found == values_.end()) return absl::NotFoundError("key '" + key + "' was deleted");
    return found->second;
  }

  absl::StatusOr<int64_t> Add(const std::string& key, int64_t delta) override {
    absl::MutexLock lock(&mutex_);
    std::string& value = values_[key];
    int64_t sum = 0;
    if (!value.empty() && !absl::SimpleAtoi(value, &sum)) {
      return absl::InvalidArgumentError("key '" + key + "' holds no number");
    }
    sum += delta;
    value = std::to_string(sum);
    return sum;
  }

  absl::StatusOr<bool> Check(const std::vector<std::string>& keys) override {
    absl::MutexLock lock(&mutex_);
    return HasAll(keys);
  }

  absl::Status Wait(const std::vector<std::string>& keys, absl::Duration timeout) override {
    absl::MutexLock lock(&mutex_);
    const auto has_all = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return HasAll(keys); };
    if (mutex_.AwaitWithTimeout(absl::Condition(&has_all), timeout)) return absl::OkStatus();
    return absl::DeadlineExceededError("key '" + keys.front() + "' did not appear within " +
                                       absl::FormatDuration(timeout));
  }

  absl::StatusOr<bool> Delete(const std::string& key) override {
    absl::MutexLock lock(&mutex_);
    return values_.erase(key) > 0;
  }

  absl::StatusOr<std::string> CompareSet(const std::string& key, const std::string& expected,
                                         const std::string& value) override {
    absl::MutexLock lock(&mutex_);
    const auto found = values_.find(key);
    if (found == values_.end()) {
      if (!expected.empty()) return expected;
      values_[key] = value;
      return value;
    }
    if (found->second == expected) found->second = value;
    return found->second;
  }

 private:
  bool HasAll(const std::vector<std::string>& keys) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (const std::string& key : keys) {
      if (!values_.contains(key)) return false;
    }
    return true;
  }

  absl::Mutex mutex_;
  std::map<std::string, std::string> values_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::shared_ptr<RendezvousStore> MakeMemoryStore() { return std::make_shared<MemoryStore>(); }

}  // namespace dropbp::trainer
