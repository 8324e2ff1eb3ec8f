#include "worker/agent/outbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dropbp::agent {
namespace {

using ::testing::ElementsAre;

v1::SessionRequest Log(size_t bytes = 1) {
  v1::SessionRequest frame;
  frame.mutable_rank_log()->set_text(std::string(bytes, 'x'));
  return frame;
}

v1::SessionRequest Step(int64_t step) {
  v1::SessionRequest frame;
  frame.mutable_rank_report()->mutable_report()->mutable_step()->set_step(step);
  return frame;
}

v1::SessionRequest Exit() {
  v1::SessionRequest frame;
  frame.mutable_rank_exited();
  return frame;
}

// Hands out all that is unsent; the sequence numbers in order.
std::vector<int64_t> HandOut(Outbox& outbox) {
  std::vector<int64_t> sequences;
  while (const v1::SessionRequest* frame = outbox.NextUnsent()) {
    sequences.push_back(frame->sequence());
    outbox.MarkSent();
  }
  return sequences;
}

TEST(OutboxTest, HandsOutFramesInOrderOnce) {
  Outbox outbox;
  outbox.Push(Log());
  outbox.Push(Exit());
  EXPECT_THAT(HandOut(outbox), ElementsAre(1, 2));
  EXPECT_THAT(HandOut(outbox), ElementsAre());
  outbox.Push(Log());
  EXPECT_THAT(HandOut(outbox), ElementsAre(3));
}

TEST(OutboxTest, KnowsWhetherAFrameWasTakenIn) {
  Outbox outbox;
  outbox.Push(Exit());
  const int64_t sequence = outbox.Push(Exit());
  outbox.Push(Exit());
  HandOut(outbox);
  EXPECT_EQ(sequence, 2);
  outbox.Acknowledge(1);
  EXPECT_FALSE(outbox.IsSettled(sequence));
  outbox.Acknowledge(2);
  EXPECT_TRUE(outbox.IsSettled(sequence));
  EXPECT_FALSE(outbox.empty());
}

TEST(OutboxTest, HandsOutAgainWhatWasNotAcknowledged) {
  Outbox outbox;
  for (int i = 0; i < 4; ++i) outbox.Push(Exit());
  HandOut(outbox);
  outbox.Acknowledge(2);
  outbox.Rewind();
  EXPECT_THAT(HandOut(outbox), ElementsAre(3, 4));
  outbox.Acknowledge(4);
  EXPECT_TRUE(outbox.empty());
  EXPECT_FALSE(outbox.awaits_acknowledgement());
}

TEST(OutboxTest, TakesAnAcknowledgementOfFramesThatWereNotHandedOutAgainYet) {
  Outbox outbox;
  for (int i = 0; i < 3; ++i) outbox.Push(Exit());
  HandOut(outbox);
  outbox.Rewind();
  outbox.Acknowledge(2);
  EXPECT_THAT(HandOut(outbox), ElementsAre(3));
}

TEST(OutboxTest, GivesUpLogLinesFirstWhenItIsFull) {
  Outbox outbox(/*max_bytes=*/20000);
  outbox.Push(Step(0));
  for (int i = 0; i < 20; ++i) outbox.Push(Log(1000));
  outbox.Push(Exit());
  const std::vector<int64_t> left = HandOut(outbox);
  EXPECT_EQ(left.front(), 1);
  EXPECT_EQ(left.back(), 22);
  EXPECT_LT(left.size(), 20u);
  EXPECT_EQ(outbox.given_up(), 22 - static_cast<int64_t>(left.size()));
}

TEST(OutboxTest, ThinsOutStepReportsButKeepsEveryExit) {
  Outbox outbox(/*max_bytes=*/40000);
  int exits = 0;
  for (int step = 0; step < 400; ++step) {
    outbox.Push(Step(step));
    if (step % 20 == 0) {
      outbox.Push(Exit());
      ++exits;
    }
  }
  int kept_exits = 0;
  int kept_steps = 0;
  int64_t newest_step = -1;
  while (const v1::SessionRequest* frame = outbox.NextUnsent()) {
    if (frame->has_rank_exited()) {
      ++kept_exits;
    } else {
      ++kept_steps;
      newest_step = frame->rank_report().report().step().step();
    }
    outbox.MarkSent();
  }
  EXPECT_EQ(kept_exits, exits);
  EXPECT_LT(kept_steps, 100);
  EXPECT_GT(kept_steps, 10);
  EXPECT_EQ(newest_step, 399);
}

TEST(OutboxTest, KeepsItsPlaceWhenFramesAreGivenUp) {
  Outbox outbox(/*max_bytes=*/3000);
  outbox.Push(Exit());
  outbox.Push(Log());
  HandOut(outbox);
  for (int i = 0; i < 5; ++i) outbox.Push(Exit());
  EXPECT_THAT(HandOut(outbox), ElementsAre(3, 4, 5, 6, 7));
  outbox.Rewind();
  EXPECT_THAT(HandOut(outbox), ElementsAre(1, 3, 4, 5, 6, 7));
}

}  // namespace
}  // namespace dropbp::agent
