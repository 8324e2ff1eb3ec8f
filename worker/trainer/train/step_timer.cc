#include "worker/trainer/train/step_timer.h"

#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <chrono>
#include <optional>
#include <vector>

namespace dropbp::trainer {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

// A moment on the host, and on the device's stream where there is one.
struct Moment {
  SteadyTime host;
  std::optional<c10::Event> event;
};

Moment Now(c10::Device device) {
  Moment moment{std::chrono::steady_clock::now(), std::nullopt};
  if (!device.is_cpu()) {
    moment.event.emplace(device.type(), c10::EventFlag::BACKEND_DEFAULT);
    moment.event->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
  }
  return moment;
}

double Seconds(SteadyTime begin, SteadyTime end) {
  return std::chrono::duration<double>(end - begin).count();
}

double SecondsBetween(const Moment& begin, const Moment& end) {
  if (end.event) return begin.event->elapsedTime(*end.event) / 1000;
  return Seconds(begin.host, end.host);
}

double& SecondsOf(Phase phase, StepReport& report) {
  switch (phase) {
    case Phase::kData:
      return report.data_seconds;
    case Phase::kForward:
      return report.forward_seconds;
    case Phase::kBackward:
      return report.backward_seconds;
    case Phase::kAllReduce:
      return report.all_reduce_seconds;
    case Phase::kOptimizer:
      return report.optimizer_seconds;
  }
  return report.step_seconds;
}

}  // namespace

class StepTimer::Marks {
 public:
  explicit Marks(c10::Device device) : device(device) { moments.push_back(Now(device)); }
  c10::Device device;
  std::vector<Moment> moments;  // one more than phases
  std::vector<Phase> phases;
};

StepTimer::StepTimer(c10::Device device) : marks_(std::make_unique<Marks>(device)) {}
StepTimer::~StepTimer() = default;

void StepTimer::Mark(Phase phase) {
  marks_->phases.push_back(phase);
  marks_->moments.push_back(Now(marks_->device));
}

void StepTimer::Write(StepReport& report) const {
  const Moment& last = marks_->moments.back();
  if (last.event) last.event->synchronize();
  for (size_t i = 0; i < marks_->phases.size(); ++i) {
    SecondsOf(marks_->phases[i], report) +=
        SecondsBetween(marks_->moments[i], marks_->moments[i + 1]);
  }
  report.step_seconds = Seconds(marks_->moments.front().host, std::chrono::steady_clock::now());
}

}  // namespace dropbp::trainer
