#include "client/retry.h"

#include <gtest/gtest.h>

#include "absl/time/clock.h"

namespace dropbp::client {
namespace {

constexpr RetryPolicy kQuick = {.give_up_after = absl::Milliseconds(30),
                                .first_pause = absl::Milliseconds(1),
                                .longest_pause = absl::Milliseconds(4)};

const auto kSilent = [](const absl::Status&) {};

TEST(BackoffTest, PausesDoubleUpToTheLongest) {
  const absl::Time start = absl::FromUnixSeconds(0);
  Backoff backoff({.give_up_after = absl::Seconds(60)});
  EXPECT_EQ(backoff.Next(start), absl::Milliseconds(100));
  EXPECT_EQ(backoff.Next(start), absl::Milliseconds(200));
  for (int i = 0; i < 3; ++i) backoff.Next(start);
  EXPECT_EQ(backoff.Next(start), absl::Seconds(2));
}

TEST(BackoffTest, GivesUpWhenTheTimeIsOverAndASuccessBeginsAnew) {
  const absl::Time start = absl::FromUnixSeconds(0);
  Backoff backoff({.give_up_after = absl::Seconds(10)});
  backoff.Next(start);
  EXPECT_LT(backoff.Next(start + absl::Seconds(10)), absl::ZeroDuration());
  backoff.Success();
  EXPECT_EQ(backoff.Next(start + absl::Seconds(11)), absl::Milliseconds(100));
}

TEST(CallWithRetryTest, TriesAgainUntilTheCallSucceeds) {
  StopToken stop;
  int calls = 0;
  int told = 0;
  EXPECT_TRUE(CallWithRetry(
                  kQuick, stop, absl::InfiniteFuture(),
                  [&] { return ++calls < 3 ? absl::UnavailableError("away") : absl::OkStatus(); },
                  [&](const absl::Status&) { ++told; })
                  .ok());
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(told, 1) << "the person is told once";
}

TEST(CallWithRetryTest, ReturnsOtherErrorsAtOnce) {
  StopToken stop;
  int calls = 0;
  const absl::Status status = CallWithRetry(
      kQuick, stop, absl::InfiniteFuture(), [&] { return ++calls, absl::NotFoundError("no job"); },
      kSilent);
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_EQ(calls, 1);
}

TEST(CallWithRetryTest, ReturnsTheLastErrorWhenTheTimeIsOver) {
  StopToken stop;
  const absl::Status status = CallWithRetry(
      kQuick, stop, absl::InfiniteFuture(), [] { return absl::UnavailableError("away"); }, kSilent);
  EXPECT_TRUE(absl::IsUnavailable(status));
}

TEST(CallWithRetryTest, StopsAtTheDeadline) {
  StopToken stop;
  const absl::Status status = CallWithRetry(
      {.give_up_after = absl::Hours(1)}, stop, absl::Now() + absl::Milliseconds(5),
      [] { return absl::UnavailableError("away"); }, kSilent);
  EXPECT_TRUE(absl::IsDeadlineExceeded(status));
}

TEST(CallWithRetryTest, AStopRequestEndsThePause) {
  StopToken stop;
  const absl::Status status = CallWithRetry(
      {.give_up_after = absl::Hours(1), .first_pause = absl::Hours(1)}, stop,
      absl::InfiniteFuture(), [] { return absl::UnavailableError("away"); },
      [&](const absl::Status&) { stop.Request(); });
  EXPECT_TRUE(absl::IsCancelled(status));
}

}  // namespace
}  // namespace dropbp::client
