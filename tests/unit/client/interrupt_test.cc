#include "client/interrupt.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace dropbp::client {
namespace {

TEST(InterruptTest, ASignalRequestsAStopInsteadOfEndingTheProcess) {
  for (const int signal : {SIGINT, SIGTERM}) {
    StopToken token;
    InterruptGuard guard(token);
    raise(signal);
    EXPECT_TRUE(token.WaitFor(absl::Seconds(10)));
  }
}

TEST(InterruptTest, TheGuardPutsTheOldHandlersBack) {
  struct sigaction before = {};
  struct sigaction after = {};
  sigaction(SIGINT, nullptr, &before);
  {
    StopToken token;
    InterruptGuard guard(token);
  }
  sigaction(SIGINT, nullptr, &after);
  EXPECT_EQ(before.sa_handler, after.sa_handler);
}

TEST(StopTokenTest, CallsBackOnceAndOnlyWhileRegistered) {
  StopToken token;
  int living = 0;
  int dead = 0;
  StopToken::Callback first(token, [&] { ++living; });
  {
    StopToken::Callback second(token, [&] { ++dead; });
  }
  token.Request();
  token.Request();
  EXPECT_EQ(living, 1);
  EXPECT_EQ(dead, 0);
}

TEST(StopTokenTest, ALateCallbackRunsAtOnce) {
  StopToken token;
  token.Request();
  bool called = false;
  StopToken::Callback callback(token, [&] { called = true; });
  EXPECT_TRUE(called);
  EXPECT_TRUE(token.Requested());
}

}  // namespace
}  // namespace dropbp::client
