// Trainers' log lines as text.
#pragma once

#include <deque>
#include <map>
#include <string>

#include "client/console.h"
#include "dropbp/v1/jobs_service.pb.h"

namespace dropbp::client {

// The last lines of each rank.
class LogTail {
 public:
  explicit LogTail(int lines) : lines_(lines) {}
  void Add(const v1::ReadJobLogsResponse& part);
  // What was kept, rank by rank.
  std::vector<v1::ReadJobLogsResponse> Take();

 private:
  const size_t lines_;
  std::map<int32_t, std::deque<v1::ReadJobLogsResponse>> kept_;  // one line each, by rank
};

// Writes the lines of `part`, each after "rank 0: " where `name_rank`; JSON: the message as one
// line.
class LogView {
 public:
  LogView(const Sink& out, bool name_rank, bool json)
      : out_(out), name_rank_(name_rank), json_(json) {}
  void Show(const v1::ReadJobLogsResponse& part) const;

 private:
  const Sink out_;
  const bool name_rank_;
  const bool json_;
};

}  // namespace dropbp::client
