// A trainer's output on its way from a pipe to its log file and, in whole lines, to the
// coordinator.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "core/base/status.h"

namespace dropbp::agent {

// Used by one thread. Owns the reading end of the pipe.
class LogPump {
 public:
  static constexpr size_t kLastLines = 20;

  // `on_lines` gets one or more whole lines in valid UTF-8.
  LogPump(int pipe_fd, std::string log_path, std::function<void(std::string)> on_lines);
  ~LogPump();
  LogPump(const LogPump&) = delete;
  LogPump& operator=(const LogPump&) = delete;

  int fd() const { return pipe_fd_; }
  // Takes in what is there now, without waiting; false when the pipe has ended.
  bool Pump();
  // Counts an unfinished line as a line.
  void Finish();
  // The newest lines, oldest first, without line ends.
  std::vector<std::string> LastLines() const { return {last_lines_.begin(), last_lines_.end()}; }

 private:
  void Add(std::string_view bytes);
  void HandOut(std::string_view lines);

  const int pipe_fd_;
  const int log_fd_;
  const std::function<void(std::string)> on_lines_;
  std::string unfinished_;
  std::deque<std::string> last_lines_;
};

}  // namespace dropbp::agent
