#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "worker/trainer/link/coordinator_link.h"

namespace dropbp::trainer {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);

class MemoryStoreTest : public testing::Test {
 protected:
  const std::shared_ptr<RendezvousStore> store_ = MakeMemoryStore();
};

TEST_F(MemoryStoreTest, GivesBackWhatWasSet) {
  ASSERT_TRUE(store_->Set("key", std::string("a\0b", 3)).ok());
  EXPECT_EQ(store_->Get("key", kPatience).value(), std::string("a\0b", 3));
}

TEST_F(MemoryStoreTest, WaitsForAKeyOfAnotherRank) {
  std::thread other([this] { EXPECT_TRUE(store_->Set("late", "value").ok()); });
  EXPECT_EQ(store_->Get("late", kPatience).value(), "value");
  other.join();
}

TEST_F(MemoryStoreTest, GivesUpWaitingAtTheTimeout) {
  EXPECT_EQ(store_->Get("never", absl::Milliseconds(1)).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(store_->Wait({"never"}, absl::Milliseconds(1)).code(),
            absl::StatusCode::kDeadlineExceeded);
}

TEST_F(MemoryStoreTest, CountsOverAllRanks) {
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < 4; ++rank) {
    ranks.emplace_back([this] { EXPECT_TRUE(store_->Add("counter", 2).ok()); });
  }
  for (std::thread& rank : ranks) rank.join();
  EXPECT_EQ(store_->Add("counter", 0).value(), 8);
  EXPECT_EQ(store_->Get("counter", kPatience).value(), "8");
}

TEST_F(MemoryStoreTest, RefusesToCountWithAKeyThatHoldsText) {
  ASSERT_TRUE(store_->Set("key", "text").ok());
  EXPECT_EQ(store_->Add("key", 1).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(MemoryStoreTest, ChecksThatAllKeysExist) {
  ASSERT_TRUE(store_->Set("a", "").ok());
  EXPECT_FALSE(store_->Check({"a", "b"}).value());
  ASSERT_TRUE(store_->Set("b", "").ok());
  EXPECT_TRUE(store_->Check({"a", "b"}).value());
  EXPECT_TRUE(store_->Wait({"a", "b"}, kPatience).ok());
}

TEST_F(MemoryStoreTest, SaysWhetherADeletedKeyExisted) {
  ASSERT_TRUE(store_->Set("key", "").ok());
  EXPECT_TRUE(store_->Delete("key").value());
  EXPECT_FALSE(store_->Delete("key").value());
}

TEST_F(MemoryStoreTest, ComparesBeforeItSets) {
  EXPECT_EQ(store_->CompareSet("key", "expected", "new").value(), "expected");
  EXPECT_FALSE(store_->Check({"key"}).value());
  EXPECT_EQ(store_->CompareSet("key", "", "first").value(), "first");
  EXPECT_EQ(store_->CompareSet("key", "other", "second").value(), "first");
  EXPECT_EQ(store_->CompareSet("key", "first", "second").value(), "second");
}

}  // namespace
}  // namespace dropbp::trainer
