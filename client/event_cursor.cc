#include "client/event_cursor.h"

namespace dropbp::client {

bool EventCursor::Advance(const v1::JobEvent& event) {
  if (event.sequence() > 0) sequence_ = event.sequence();
  if (event.type() != v1::JobEvent::STEP) return true;
  const std::pair step(event.attempt(), event.progress().step());
  if (step <= step_) return false;
  step_ = step;
  return true;
}

}  // namespace dropbp::client
