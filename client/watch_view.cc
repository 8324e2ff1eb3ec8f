// The three looks of a watched job.
#include "client/format.h"
#include "client/json.h"
#include "client/progress.h"

namespace dropbp::client {
namespace {

// An event that is no step, in full: its sentence, and the answers of an evaluation.
void PrintEvent(const v1::JobEvent& event, const Sink& sink) {
  sink.stream << EventText(event, sink) << '\n';
  if (event.type() != v1::JobEvent::EVALUATION) return;
  for (const std::string& line : SampleLines(event.progress().evaluation()))
    sink.stream << line << '\n';
}

class BarView : public WatchView {
 public:
  explicit BarView(const Sink& sink) : sink_(sink) {}

  void Show(const v1::JobEvent& event) override {
    if (event.type() != v1::JobEvent::STEP) {
      Erase();
      PrintEvent(event, sink_);
    }
    if (event.has_progress()) newest_ = event.progress();
    Draw();
  }

  void Finish() override {
    if (drawn_) sink_.stream << std::endl;
    drawn_ = false;
  }

 private:
  void Erase() {
    if (drawn_) sink_.stream << "\r\x1b[2K";
    drawn_ = false;
  }

  void Draw() {
    Erase();
    if (newest_.total_steps() > 0) {
      // One column stays free: a terminal wraps when its last column is written.
      sink_.stream << ProgressBar(newest_, sink_.Width() - 1, sink_.unicode);
      drawn_ = true;
    }
    sink_.stream.flush();
  }

  const Sink sink_;
  v1::JobProgress newest_;
  bool drawn_ = false;
};

class LineView : public WatchView {
 public:
  LineView(const Sink& sink, const Clock& clock, absl::Duration step_interval)
      : sink_(sink), clock_(clock), step_interval_(step_interval) {}

  void Show(const v1::JobEvent& event) override {
    if (event.type() != v1::JobEvent::STEP) {
      PrintEvent(event, sink_);
      sink_.stream.flush();
      return;
    }
    const bool last = event.progress().step() == event.progress().total_steps();
    if (!last && clock_.Now() < next_step_line_) return;
    next_step_line_ = clock_.Now() + step_interval_;
    sink_.stream << FormatClock(event.time()) << "  " << ProgressText(event.progress())
                 << std::endl;
  }

 private:
  const Sink sink_;
  const Clock& clock_;
  const absl::Duration step_interval_;
  absl::Time next_step_line_ = absl::InfinitePast();
};

class JsonView : public WatchView {
 public:
  explicit JsonView(const Sink& sink) : sink_(sink) {}
  void Show(const v1::JobEvent& event) override { PrintJsonLine(event, sink_); }

 private:
  const Sink sink_;
};

}  // namespace

std::unique_ptr<WatchView> MakeBarView(const Sink& sink) { return std::make_unique<BarView>(sink); }

std::unique_ptr<WatchView> MakeLineView(const Sink& sink, const Clock& clock,
                                        absl::Duration step_interval) {
  return std::make_unique<LineView>(sink, clock, step_interval);
}

std::unique_ptr<WatchView> MakeJsonView(const Sink& sink) {
  return std::make_unique<JsonView>(sink);
}

}  // namespace dropbp::client
