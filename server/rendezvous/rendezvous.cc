#include "server/rendezvous/rendezvous.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace dropbp::server {

using v1::KvRequest;
using v1::KvResponse;

std::vector<RankAnswer> Rendezvous::Handle(int rank, const KvRequest& request) {
  const bool waits =
      request.operation() == KvRequest::GET || request.operation() == KvRequest::WAIT;
  if (waits && !HasAll(request)) {
    waiters_.push_back({rank, request});
    return {};
  }
  std::vector<RankAnswer> answers = {{rank, Answer(request)}};
  std::vector<RankAnswer> released = ReleaseWaiters();
  std::move(released.begin(), released.end(), std::back_inserter(answers));
  return answers;
}

bool Rendezvous::HasAll(const KvRequest& request) const {
  return std::all_of(request.keys().begin(), request.keys().end(),
                     [this](const std::string& key) { return values_.count(key) > 0; });
}

KvResponse Rendezvous::Answer(const KvRequest& request) {
  KvResponse response;
  response.set_request_id(request.request_id());
  const std::string key = request.keys().empty() ? "" : request.keys(0);
  switch (request.operation()) {
    case KvRequest::SET:
      values_[key] = request.value();
      break;
    case KvRequest::GET:
      response.set_value(values_[key]);
      break;
    case KvRequest::ADD:
      response.set_number(Add(key, request.delta()));
      break;
    case KvRequest::CHECK:
    case KvRequest::WAIT:
      response.set_found(HasAll(request));
      break;
    case KvRequest::DELETE:
      response.set_found(values_.erase(key) > 0);
      break;
    case KvRequest::COMPARE_SET: {
      const auto found = values_.find(key);
      if ((found == values_.end() && request.expected().empty()) ||
          (found != values_.end() && found->second == request.expected())) {
        values_[key] = request.value();
      }
      response.set_value(values_.count(key) > 0 ? values_[key] : "");
      break;
    }
    default:  // an operation of a newer trainer: the empty answer
      break;
  }
  return response;
}

int64_t Rendezvous::Add(const std::string& key, int64_t delta) {
  std::string& value = values_[key];
  int64_t number = 0;
  // A key that holds no number counts from 0, as in c10d.
  if (!absl::SimpleAtoi(value, &number)) number = 0;
  number += delta;
  value = absl::StrCat(number);
  return number;
}

std::vector<RankAnswer> Rendezvous::ReleaseWaiters() {
  std::vector<RankAnswer> answers;
  for (auto waiter = waiters_.begin(); waiter != waiters_.end();) {
    if (!HasAll(waiter->request)) {
      ++waiter;
      continue;
    }
    answers.push_back({waiter->rank, Answer(waiter->request)});
    waiter = waiters_.erase(waiter);
  }
  return answers;
}

}  // namespace dropbp::server
