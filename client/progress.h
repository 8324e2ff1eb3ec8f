// Training progress as one line, and how a watched job looks as it goes.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/console.h"
#include "core/base/clock.h"
#include "dropbp/v1/jobs.pb.h"

namespace dropbp::client {

// "step 120/400  30.0%  loss 0.0142  validation 0.0201  255 tok/s  drop 50.0%  eta 1m 32s"; figures
// that are not known yet are left out.
std::string ProgressText(const v1::JobProgress& progress);

// ProgressText after a bar, never wider than `width` columns: the bar shrinks first, then figures
// are left out from the right.
std::string ProgressBar(const v1::JobProgress& progress, int width, bool unicode);

// A line for each answer of an evaluation: what was asked and what was answered, both shortened.
std::vector<std::string> SampleLines(const v1::Evaluation& evaluation);

// An event's sentence, then what else it tells, line by line; nothing in them moves a cursor.
std::vector<std::string> EventLines(const v1::JobEvent& event);

// "12:34:56  RUNNING     attempt 1: message", with the event's other lines under it, without an end
// of line.
std::string EventText(const v1::JobEvent& event, const Sink& sink);

// Shows events as they come.
class WatchView {
 public:
  virtual ~WatchView() = default;
  virtual void Show(const v1::JobEvent& event) = 0;
  // Before anything else is written to the terminal; more events may follow.
  virtual void Finish() {}
};

// Redraws one progress line under the lines of state changes; for a terminal.
std::unique_ptr<WatchView> MakeBarView(const Sink& sink);
// Lines only: one for a state change, and one for a step at most every `step_interval`.
std::unique_ptr<WatchView> MakeLineView(const Sink& sink, const Clock& clock,
                                        absl::Duration step_interval = absl::Seconds(5));
// Each event as one line of JSON.
std::unique_ptr<WatchView> MakeJsonView(const Sink& sink);

}  // namespace dropbp::client
