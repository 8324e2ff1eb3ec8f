#include "worker/trainer/link/kv_client.h"

#include "absl/strings/str_cat.h"

namespace dropbp::trainer {
namespace {

// Operations that the coordinator answers at once still wait out its restart.
constexpr absl::Duration kAnswerTimeout = absl::Minutes(5);

v1::KvRequest Request(v1::KvRequest::Operation operation, const std::vector<std::string>& keys) {
  v1::KvRequest request;
  request.set_operation(operation);
  for (const std::string& key : keys) request.add_keys(key);
  return request;
}

std::string Describe(const v1::KvRequest& request) {
  return absl::StrCat(v1::KvRequest::Operation_Name(request.operation()), " of key '",
                      request.keys_size() > 0 ? request.keys(0) : "", "'");
}

}  // namespace

absl::Status KvClient::Set(const std::string& key, const std::string& value) {
  v1::KvRequest request = Request(v1::KvRequest::SET, {key});
  request.set_value(value);
  return Ask(std::move(request), kAnswerTimeout).status();
}

absl::StatusOr<std::string> KvClient::Get(const std::string& key, absl::Duration timeout) {
  ASSIGN_OR_RETURN(v1::KvResponse response, Ask(Request(v1::KvRequest::GET, {key}), timeout));
  return response.value();
}

absl::StatusOr<int64_t> KvClient::Add(const std::string& key, int64_t delta) {
  v1::KvRequest request = Request(v1::KvRequest::ADD, {key});
  request.set_delta(delta);
  ASSIGN_OR_RETURN(v1::KvResponse response, Ask(std::move(request), kAnswerTimeout));
  return response.number();
}

absl::StatusOr<bool> KvClient::Check(const std::vector<std::string>& keys) {
  ASSIGN_OR_RETURN(v1::KvResponse response,
                   Ask(Request(v1::KvRequest::CHECK, keys), kAnswerTimeout));
  return response.found();
}

absl::Status KvClient::Wait(const std::vector<std::string>& keys, absl::Duration timeout) {
  return Ask(Request(v1::KvRequest::WAIT, keys), timeout).status();
}

absl::StatusOr<bool> KvClient::Delete(const std::string& key) {
  ASSIGN_OR_RETURN(v1::KvResponse response,
                   Ask(Request(v1::KvRequest::DELETE, {key}), kAnswerTimeout));
  return response.found();
}

absl::StatusOr<std::string> KvClient::CompareSet(const std::string& key,
                                                 const std::string& expected,
                                                 const std::string& value) {
  v1::KvRequest request = Request(v1::KvRequest::COMPARE_SET, {key});
  request.set_expected(expected);
  request.set_value(value);
  ASSIGN_OR_RETURN(v1::KvResponse response, Ask(std::move(request), kAnswerTimeout));
  return response.value();
}

void KvClient::Answer(const v1::KvResponse& response) {
  absl::MutexLock lock(&mutex_);
  const auto found = waiting_.find(response.request_id());
  if (found != waiting_.end()) found->second = response;
}

void KvClient::Close() {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
}

absl::StatusOr<v1::KvResponse> KvClient::Ask(v1::KvRequest request, absl::Duration timeout) {
  const std::string what = Describe(request);
  absl::MutexLock lock(&mutex_);
  const int64_t id = next_id_++;
  std::optional<v1::KvResponse>& answer = waiting_[id];
  request.set_request_id(id);
  // Under the lock, so that nothing is sent once Close() has returned and the link may be gone.
  if (!closed_) send_(std::move(request));
  const auto settled = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return answer || closed_; };
  mutex_.AwaitWithTimeout(absl::Condition(&settled), timeout);
  std::optional<v1::KvResponse> response = std::move(answer);
  waiting_.erase(id);
  if (response) return *std::move(response);
  if (closed_) return absl::UnavailableError(what + ": the link to the agent is closed");
  return absl::DeadlineExceededError(
      absl::StrCat(what, ": no answer within ", absl::FormatDuration(timeout)));
}

}  // namespace dropbp::trainer
