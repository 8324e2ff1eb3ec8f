#include "client/event_cursor.h"

#include <gtest/gtest.h>

namespace dropbp::client {
namespace {

v1::JobEvent Step(int attempt, int64_t step) {
  v1::JobEvent event;
  event.set_type(v1::JobEvent::STEP);
  event.set_attempt(attempt);
  event.mutable_progress()->set_step(step);
  return event;
}

v1::JobEvent Stored(int64_t sequence) {
  v1::JobEvent event;
  event.set_type(v1::JobEvent::STATE_CHANGED);
  event.set_sequence(sequence);
  return event;
}

TEST(EventCursorTest, AStepThatIsToldAgainIsPassedOnOnce) {
  EventCursor cursor(0);
  EXPECT_TRUE(cursor.Advance(Step(1, 1)));
  EXPECT_TRUE(cursor.Advance(Step(1, 2)));
  EXPECT_FALSE(cursor.Advance(Step(1, 1)));
  EXPECT_FALSE(cursor.Advance(Step(1, 2)));
  EXPECT_TRUE(cursor.Advance(Step(1, 3)));
}

TEST(EventCursorTest, TheNextAttemptMakesItsStepsAnew) {
  EventCursor cursor(0);
  EXPECT_TRUE(cursor.Advance(Step(1, 5)));
  EXPECT_TRUE(cursor.Advance(Step(2, 1)));
  EXPECT_FALSE(cursor.Advance(Step(1, 6))) << "of an attempt that is over";
}

TEST(EventCursorTest, StepsLeaveTheNumberOfTheLastEventAlone) {
  EventCursor cursor(3);
  EXPECT_EQ(cursor.sequence(), 3);
  EXPECT_TRUE(cursor.Advance(Stored(4)));
  EXPECT_TRUE(cursor.Advance(Step(1, 1)));
  EXPECT_EQ(cursor.sequence(), 4);
}

}  // namespace
}  // namespace dropbp::client
