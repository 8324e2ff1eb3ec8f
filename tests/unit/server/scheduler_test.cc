#include "server/schedule/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dropbp::server {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

WaitingJob Job(const std::string& id, int ranks, int64_t order) {
  return {.job_id = id,
          .priority = 0,
          .create_order = order,
          .model = "m",
          .ranks = ranks,
          .device = "any",
          .prepared = true};
}

PoolWorker Worker(const std::string& id, int cpu, int cuda = 0, int busy = 0) {
  PoolWorker worker{
      .worker_id = id, .models = {"m"}, .slots = {}, .preparing = false, .draining = false};
  for (int i = 0; i < cpu + cuda; ++i) {
    worker.slots.push_back(
        {.index = i, .kind = i < cpu ? DeviceKind::kCpu : DeviceKind::kCuda, .busy = i < busy});
  }
  return worker;
}

std::vector<std::string> Places(const Decision& decision) {
  std::vector<std::string> places;
  for (const RankSlot& rank : decision.ranks) {
    places.push_back(rank.worker_id + "/" + std::to_string(rank.slot));
  }
  return places;
}

TEST(SchedulerTest, PlacesAllRanksOfAGangOrNone) {
  Schedule schedule = MakeSchedule({Job("big", 3, 1)}, {Worker("a", 2)});
  EXPECT_THAT(schedule.decisions, IsEmpty());
  EXPECT_EQ(schedule.pending_reason["big"], "needs 3 cpu slots, 2 free of 2 in the pool");

  schedule = MakeSchedule({Job("big", 3, 1)}, {Worker("a", 2), Worker("b", 1)});
  ASSERT_THAT(schedule.decisions, SizeIs(1));
  EXPECT_THAT(Places(schedule.decisions[0]), ElementsAre("a/0", "a/1", "b/0"));
}

TEST(SchedulerTest, GivesNothingToAWorkerThatDrains) {
  PoolWorker leaving = Worker("a", 2);
  leaving.draining = true;
  Schedule schedule = MakeSchedule({Job("job", 1, 1)}, {leaving, Worker("b", 1)});
  ASSERT_THAT(schedule.decisions, SizeIs(1));
  EXPECT_THAT(Places(schedule.decisions[0]), ElementsAre("b/0"));

  WaitingJob unchecked = Job("unchecked", 1, 2);
  unchecked.prepared = false;
  schedule = MakeSchedule({Job("job", 1, 1), unchecked}, {leaving});
  EXPECT_THAT(schedule.decisions, IsEmpty());
  for (const char* job : {"job", "unchecked"}) {
    EXPECT_EQ(schedule.pending_reason[job],
              "no worker is in use; waiting for another worker, since these are being drained: a");
  }
}

TEST(SchedulerTest, GoesByPriorityThenByCreation) {
  WaitingJob late = Job("late", 1, 3);
  late.priority = 1;
  Schedule schedule =
      MakeSchedule({Job("second", 1, 2), late, Job("first", 1, 1)}, {Worker("a", 2)});
  ASSERT_THAT(schedule.decisions, SizeIs(2));
  EXPECT_EQ(schedule.decisions[0].job_id, "late");
  EXPECT_EQ(schedule.decisions[1].job_id, "first");
  EXPECT_THAT(schedule.queue, ElementsAre("second"));
}

TEST(SchedulerTest, SmallJobsDoNotStarveALargeGang) {
  const Schedule schedule =
      MakeSchedule({Job("large", 2, 1), Job("small", 1, 2)}, {Worker("a", 2, 0, /*busy=*/1)});
  EXPECT_THAT(schedule.decisions, IsEmpty());
  EXPECT_EQ(schedule.pending_reason.at("large"), "needs 2 cpu slots, 1 free of 2 in the pool");
  EXPECT_EQ(schedule.pending_reason.at("small"), "waits behind job 'large'");
}

TEST(SchedulerTest, AGangThatNeverFitsKeepsNobodyWaiting) {
  const Schedule schedule = MakeSchedule({Job("huge", 9, 1), Job("small", 1, 2)}, {Worker("a", 2)});
  ASSERT_THAT(schedule.decisions, SizeIs(1));
  EXPECT_EQ(schedule.decisions[0].job_id, "small");
  EXPECT_THAT(schedule.queue, ElementsAre("huge"));
}

TEST(SchedulerTest, PrefersCudaAndNeverMixesKinds) {
  Schedule schedule = MakeSchedule({Job("any", 2, 1)}, {Worker("a", 2, 2)});
  EXPECT_THAT(Places(schedule.decisions[0]), ElementsAre("a/2", "a/3"));
  schedule = MakeSchedule({Job("any", 2, 1)}, {Worker("a", 2, 1)});
  EXPECT_THAT(Places(schedule.decisions[0]), ElementsAre("a/0", "a/1"));
  schedule = MakeSchedule({Job("any", 2, 1)}, {Worker("a", 1, 1)});
  EXPECT_THAT(schedule.decisions, IsEmpty());
  EXPECT_EQ(schedule.pending_reason["any"],
            "needs 2 cuda slots, 1 free of 1 in the pool; "
            "needs 2 cpu slots, 1 free of 1 in the pool");
}

TEST(SchedulerTest, ObeysTheAskedDevice) {
  WaitingJob cuda = Job("cuda", 1, 1);
  cuda.device = "cuda";
  const Schedule schedule = MakeSchedule({cuda}, {Worker("a", 2)});
  EXPECT_EQ(schedule.pending_reason.at("cuda"), "needs 1 cuda slots, 0 free of 0 in the pool");
}

TEST(SchedulerTest, UsesOnlyWorkersThatHaveTheModelAndNamesWhatThereIs) {
  WaitingJob job = Job("other", 1, 1);
  job.model = "x";
  PoolWorker b = Worker("b", 1);
  b.models = {"k", "m"};
  const Schedule schedule = MakeSchedule({job}, {Worker("a", 1), b});
  EXPECT_EQ(schedule.pending_reason.at("other"),
            "no connected worker has model 'x'; connected workers have: k, m");
  EXPECT_EQ(MakeSchedule({job}, {}).pending_reason.at("other"), "no worker is connected");
}

TEST(SchedulerTest, ChecksOneJobAtATimeOnAWorkerWithoutASlot) {
  WaitingJob first = Job("first", 8, 1);
  WaitingJob second = Job("second", 8, 2);
  first.prepared = second.prepared = false;
  const Schedule schedule = MakeSchedule({first, second}, {Worker("a", 1, 0, /*busy=*/1)});
  ASSERT_THAT(schedule.decisions, SizeIs(1));
  EXPECT_EQ(schedule.decisions[0].kind, Decision::Kind::kPrepare);
  EXPECT_EQ(schedule.decisions[0].worker_id, "a");
  EXPECT_EQ(schedule.pending_reason.at("second"),
            "waits until a worker has checked the data of an earlier job");
}

TEST(SchedulerTest, TakesTheWorkersWithTheMostFreeSlotsFirst) {
  const Schedule schedule =
      MakeSchedule({Job("pair", 2, 1)}, {Worker("a", 1), Worker("b", 4), Worker("c", 2)});
  EXPECT_THAT(Places(schedule.decisions[0]), ElementsAre("b/0", "b/1"));
}

}  // namespace
}  // namespace dropbp::server
