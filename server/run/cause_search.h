// The search for the cause of a broken gang. Where one rank dies, the others lose their connections
// to it, give up and say so; which of them is heard of first is chance. So nothing is concluded
// from the word of a rank that gave up while another end, which may be the cause, can still be
// heard of.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/store/job_store.h"

namespace dropbp::server {

// How long the end of a lost peer is waited for: its agent sees it as soon as its sockets close.
inline constexpr absl::Duration kCauseGrace = absl::Seconds(2);

// Of one attempt, from the first rank that gives up until its gang is stopped, by whatever cause.
// In memory only: what ranks do next tells a restarted coordinator again.
class CauseSearch {
 public:
  // A rank gave up because something outside of it, most often a peer, did not answer.
  void AddWord(int rank, const std::string& why, absl::Time now);

  // Whether some rank gave up.
  bool open() const { return !ranks_.empty(); }
  // Whether this rank did: its own end is expected then, and no cause.
  bool HasGivenUp(int rank) const { return ranks_.contains(rank); }
  // What is the cause if nothing else is heard of: the first word.
  const std::string& first_word() const { return first_word_; }

  // Whether every rank of the gang has given up, is done or gone: nobody else can be the cause.
  bool HeardOfAll(const std::vector<Placement>& gang) const;
  // Whether another cause was waited for long enough. False unless open.
  bool TimeIsUp(absl::Time now) const { return now >= until_; }
  // The coordinator itself stood still; nothing could be heard meanwhile.
  void Forgive(absl::Duration pause) { until_ += pause; }

 private:
  std::string first_word_;
  std::set<int> ranks_;  // that gave up
  absl::Time until_ = absl::InfiniteFuture();
};

}  // namespace dropbp::server
