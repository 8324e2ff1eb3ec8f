#include "worker/agent/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/worker/agent/gateway_server.h"

namespace dropbp::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

v1::SessionRequest ExitOfRank(int rank) {
  v1::SessionRequest frame;
  frame.mutable_rank_exited()->set_rank(rank);
  return frame;
}

std::vector<int> RanksOf(const std::vector<v1::SessionRequest>& frames) {
  std::vector<int> ranks;
  for (const v1::SessionRequest& frame : frames) ranks.push_back(frame.rank_exited().rank());
  return ranks;
}

class SessionTest : public ::testing::Test {
 protected:
  SessionTest()
      : session_({.address = server_.address()}, {.hello =
                                                      [this] {
                                                        v1::WorkerHello hello;
                                                        hello.set_worker_id("node");
                                                        hello.set_incarnation(42);
                                                        for (const auto& model : Models())
                                                          hello.add_models(model);
                                                        return hello;
                                                      },
                                                  .models = [this] { return Models(); },
                                                  .on_response =
                                                      [this](const v1::SessionResponse& response) {
                                                        absl::MutexLock lock(&mutex_);
                                                        orders_.push_back(response);
                                                      }}) {}

  bool AwaitFrames(size_t count) {
    return server_.Await([&](const auto& frames) { return frames.size() >= count; });
  }
  bool AwaitOrders(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&] { return orders_.size() >= count; };
    return mutex_.AwaitWithTimeout(absl::Condition(&enough), kPatience);
  }

  std::vector<std::string> Models() {
    absl::MutexLock lock(&mutex_);
    return models_;
  }

  GatewayServer server_;
  absl::Mutex mutex_;
  std::vector<std::string> models_ = {"tiny"};
  std::vector<v1::SessionResponse> orders_;
  CoordinatorSession session_;
};

TEST_F(SessionTest, SaysHelloAndBeatsItsHeart) {
  session_.Start();
  ASSERT_TRUE(server_.AwaitHellos(1));
  EXPECT_EQ(server_.Hellos()[0].worker_id(), "node");
  EXPECT_EQ(server_.Hellos()[0].incarnation(), 42u);
  EXPECT_TRUE(server_.AwaitHeartbeats(3));
}

TEST_F(SessionTest, SaysHelloAnewWhenThereAreOtherModels) {
  session_.Start();
  ASSERT_TRUE(server_.AwaitHellos(1));
  EXPECT_THAT(server_.Hellos()[0].models(), ElementsAre("tiny"));
  {
    absl::MutexLock lock(&mutex_);
    models_.push_back("tiny2");
  }
  ASSERT_TRUE(server_.AwaitHellos(2));
  EXPECT_THAT(server_.Hellos()[1].models(), ElementsAre("tiny", "tiny2"));
  ASSERT_TRUE(server_.AwaitHeartbeats(3));
  EXPECT_THAT(server_.Hellos(), ::testing::SizeIs(2)) << "what was told is not told again";
}

TEST_F(SessionTest, NumbersFramesAndForgetsAcknowledgedOnes) {
  for (int rank = 0; rank < 3; ++rank) session_.Send(ExitOfRank(rank));
  session_.Start();
  EXPECT_TRUE(session_.Flush(kPatience));
  const auto frames = server_.Frames();
  EXPECT_THAT(RanksOf(frames), ElementsAre(0, 1, 2));
  EXPECT_EQ(frames[2].sequence(), 3);
}

TEST_F(SessionTest, SendsUnacknowledgedFramesAgainInOrderAfterTheStreamEnds) {
  server_.set_acknowledges(false);
  session_.Start();
  for (int rank = 0; rank < 4; ++rank) session_.Send(ExitOfRank(rank));
  ASSERT_TRUE(AwaitFrames(4));
  server_.Acknowledge(2);
  server_.EndStream();
  ASSERT_TRUE(server_.AwaitHellos(2));
  session_.Send(ExitOfRank(4));
  ASSERT_TRUE(AwaitFrames(7));
  EXPECT_THAT(RanksOf(server_.Frames()), ElementsAre(0, 1, 2, 3, 2, 3, 4));
  server_.Acknowledge(5);
  EXPECT_TRUE(session_.Flush(kPatience));
}

TEST_F(SessionTest, LosesNothingWhileTheCoordinatorIsAway) {
  session_.Start();
  ASSERT_TRUE(server_.AwaitHellos(1));
  server_.Stop();
  for (int rank = 0; rank < 100; ++rank) session_.Send(ExitOfRank(rank));
  EXPECT_FALSE(session_.Flush(absl::ZeroDuration()));
  server_.Start();
  EXPECT_TRUE(session_.Flush(kPatience));
  const std::vector<int> ranks = RanksOf(server_.Frames());
  EXPECT_THAT(ranks, ::testing::SizeIs(100));
  EXPECT_TRUE(std::is_sorted(ranks.begin(), ranks.end()));
}

TEST_F(SessionTest, HandsOrdersToTheAgentInOrder) {
  session_.Start();
  for (int attempt = 1; attempt <= 3; ++attempt) {
    v1::SessionResponse order;
    order.mutable_stop_ranks()->set_attempt(attempt);
    server_.Send(order);
  }
  ASSERT_TRUE(AwaitOrders(3));
  absl::MutexLock lock(&mutex_);
  EXPECT_EQ(orders_[0].stop_ranks().attempt(), 1);
  EXPECT_EQ(orders_[2].stop_ranks().attempt(), 3);
}

TEST_F(SessionTest, EndsPromptlyWhileNobodyAnswers) {
  server_.Stop();
  session_.Start();
  session_.Send(ExitOfRank(0));
  session_.Close();
  EXPECT_THAT(server_.Hellos(), IsEmpty());
}

}  // namespace
}  // namespace dropbp::agent
