#include "server/rendezvous/rendezvous.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dropbp::server {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;
using v1::KvRequest;

KvRequest Ask(int64_t id, KvRequest::Operation operation, std::vector<std::string> keys,
              const std::string& value = "", const std::string& expected = "", int64_t delta = 0) {
  KvRequest request;
  request.set_request_id(id);
  request.set_operation(operation);
  for (const std::string& key : keys) request.add_keys(key);
  request.set_value(value);
  request.set_expected(expected);
  request.set_delta(delta);
  return request;
}

TEST(RendezvousTest, AnswersAGetAtOnceIfTheKeyExists) {
  Rendezvous store;
  EXPECT_THAT(store.Handle(0, Ask(1, KvRequest::SET, {"k"}, "v")), SizeIs(1));
  const auto answers = store.Handle(1, Ask(7, KvRequest::GET, {"k"}));
  ASSERT_THAT(answers, SizeIs(1));
  EXPECT_EQ(answers[0].rank, 1);
  EXPECT_EQ(answers[0].response.request_id(), 7);
  EXPECT_EQ(answers[0].response.value(), "v");
}

TEST(RendezvousTest, KeepsAGetWaitingUntilTheKeyIsSet) {
  Rendezvous store;
  EXPECT_THAT(store.Handle(1, Ask(5, KvRequest::GET, {"k"})), IsEmpty());
  EXPECT_THAT(store.Handle(2, Ask(6, KvRequest::WAIT, {"k", "l"})), IsEmpty());
  const auto answers = store.Handle(0, Ask(1, KvRequest::SET, {"k"}, "v"));
  ASSERT_THAT(answers, SizeIs(2));
  EXPECT_EQ(answers[0].rank, 0);
  EXPECT_EQ(answers[1].rank, 1);
  EXPECT_EQ(answers[1].response.value(), "v");
  const auto released = store.Handle(0, Ask(2, KvRequest::ADD, {"l"}, "", "", 1));
  ASSERT_THAT(released, SizeIs(2));
  EXPECT_EQ(released[1].response.request_id(), 6);
  EXPECT_TRUE(released[1].response.found());
}

TEST(RendezvousTest, ACounterIsItsDecimalText) {
  Rendezvous store;
  EXPECT_EQ(store.Handle(0, Ask(1, KvRequest::ADD, {"n"}, "", "", 3))[0].response.number(), 3);
  EXPECT_EQ(store.Handle(1, Ask(1, KvRequest::ADD, {"n"}, "", "", -1))[0].response.number(), 2);
  EXPECT_EQ(store.Handle(0, Ask(2, KvRequest::GET, {"n"}))[0].response.value(), "2");
}

TEST(RendezvousTest, ChecksAndDeletesKeys) {
  Rendezvous store;
  store.Handle(0, Ask(1, KvRequest::SET, {"k"}, ""));
  EXPECT_TRUE(store.Handle(0, Ask(2, KvRequest::CHECK, {"k"}))[0].response.found());
  EXPECT_FALSE(store.Handle(0, Ask(3, KvRequest::CHECK, {"k", "l"}))[0].response.found());
  EXPECT_TRUE(store.Handle(0, Ask(4, KvRequest::DELETE, {"k"}))[0].response.found());
  EXPECT_FALSE(store.Handle(0, Ask(5, KvRequest::DELETE, {"k"}))[0].response.found());
}

TEST(RendezvousTest, CompareSetReplacesOnlyTheExpectedValue) {
  Rendezvous store;
  const auto value = [&](const std::string& expected, const std::string& desired) {
    return store.Handle(0, Ask(1, KvRequest::COMPARE_SET, {"k"}, desired, expected))[0]
        .response.value();
  };
  EXPECT_EQ(value("x", "y"), "");
  EXPECT_EQ(value("", "a"), "a");
  EXPECT_EQ(value("", "b"), "a");
  EXPECT_EQ(value("a", "c"), "c");
}

}  // namespace
}  // namespace dropbp::server
