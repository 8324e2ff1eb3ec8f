// The key-value store that the ranks of one attempt meet in. It lives in the coordinator, so no
// rank owns it; trainers reach it through their agents. Semantics follow c10d::Store: a counter is
// its decimal text.
#pragma once

#include <list>
#include <map>
#include <string>
#include <vector>

#include "dropbp/v1/trainer_link.pb.h"

namespace dropbp::server {

// An answer on its way to a rank.
struct RankAnswer {
  int rank = 0;
  v1::KvResponse response;
};

// One attempt's store. In memory: an attempt that loses it is restarted. Not thread-safe.
class Rendezvous {
 public:
  // Answers that became ready: this request's own, unless it has to wait, and those of waiting GETs
  // and WAITs that it released, in order of asking.
  std::vector<RankAnswer> Handle(int rank, const v1::KvRequest& request);

 private:
  struct Waiter {
    int rank;
    v1::KvRequest request;
  };
  bool HasAll(const v1::KvRequest& request) const;
  v1::KvResponse Answer(const v1::KvRequest& request);
  int64_t Add(const std::string& key, int64_t delta);
  std::vector<RankAnswer> ReleaseWaiters();

  std::map<std::string, std::string> values_;
  std::list<Waiter> waiters_;
};

}  // namespace dropbp::server
