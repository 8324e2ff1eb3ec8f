// SIGTERM of each long-running program in the middle of a job: what service managers and Kubernetes
// send before they take a machine away.
#include <algorithm>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/integration/cluster_test.h"
#include "tests/support/poll_until.h"

namespace dropbp::testing {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kSteps = 250;
constexpr int64_t kStepOfSignal = 30;
constexpr absl::Duration kGrace = absl::Seconds(10);             // of dropbp-worker by default
constexpr absl::Duration kCoordinatorGrace = absl::Seconds(15);  // as docs/api.md promises

class DrainTest : public ClusterTest {
 protected:
  static JobSpec LongJob(int ranks) {
    JobSpec spec = TinyJob();
    spec.training.steps = kSteps;
    spec.resources.ranks = ranks;
    return spec;
  }

  // The number in the name of a worker of the job.
  static int WorkerOf(const v1::Job& job, int rank) {
    return job.workers(rank) == "worker-0" ? 0 : 1;
  }
};

TEST_F(DrainTest, AStoppedWorkersJobMovesToTheOtherAndIsNotCharged) {
  ASSERT_NO_FATAL_FAILURE(StartCluster({.workers = 2, .slots = 1}));
  ASSERT_OK_AND_ASSIGN(const std::string id, cluster().Submit(LongJob(1), data_));
  ASSERT_OK_AND_ASSIGN(const v1::Job running, cluster().WaitForStep(id, kStepOfSignal));
  const int leaving = WorkerOf(running, 0);
  ASSERT_OK(cluster().StopWorker(leaving, kGrace));

  ASSERT_OK_AND_ASSIGN(const v1::Job job, cluster().WaitForEnd(id));
  EXPECT_EQ(job.state(), v1::Job::SUCCEEDED) << job.state_message();
  EXPECT_EQ(job.attempt(), 2);
  EXPECT_EQ(job.restarts(), 0) << "a drained worker is no fault of the job";
  EXPECT_EQ(WorkerOf(job, 0), 1 - leaving);
  EXPECT_THAT(NodeLog(leaving, id, 0), HasSubstr("stopped on request after"))
      << "the trainer ended between two steps";
  ASSERT_OK_AND_ASSIGN(const std::vector<v1::JobEvent> events, cluster().Events(id));
  EXPECT_TRUE(std::any_of(events.begin(), events.end(), [&](const v1::JobEvent& event) {
    return absl::StrContains(event.message(),
                             absl::StrCat("Worker 'worker-", leaving, "' is being stopped."));
  }));
  ASSERT_OK(cluster().StartWorker(leaving));
  ASSERT_OK(cluster().WaitForWorkers());
}

TEST_F(DrainTest, AGangThatFindsNoOtherPlaceWaitsAndSaysWhatFor) {
  ASSERT_NO_FATAL_FAILURE(StartCluster({.workers = 2, .slots = 1}));
  ASSERT_OK_AND_ASSIGN(const std::string id, cluster().Submit(LongJob(2), data_));
  ASSERT_OK_AND_ASSIGN(const v1::Job running, cluster().WaitForStep(id, kStepOfSignal));
  const int leaving = WorkerOf(running, 1);
  ASSERT_OK(cluster().StopWorker(leaving, kGrace));
  v1::Job job;
  EXPECT_TRUE(PollUntil(kPatience, [&] {
    job = cluster().client().GetJob(id).value_or(v1::Job());
    return absl::StrContains(job.state_message(), "needs 2 cpu slots");
  })) << job.state_message();
  EXPECT_EQ(job.state(), v1::Job::RESTARTING);
  for (const int rank : {0, 1}) {
    EXPECT_THAT(NodeLog(WorkerOf(running, rank), id, rank), HasSubstr("stopped on request after"));
  }
  ASSERT_OK(cluster().StartWorker(leaving));
  ASSERT_OK_AND_ASSIGN(job, cluster().WaitForEnd(id));
  EXPECT_EQ(job.state(), v1::Job::SUCCEEDED) << job.state_message();
  EXPECT_EQ(job.attempt(), 2);
  EXPECT_EQ(job.restarts(), 0);
}

TEST_F(DrainTest, AStoppedCoordinatorCostsNoStep) {
  ASSERT_NO_FATAL_FAILURE(StartCluster());
  ASSERT_OK_AND_ASSIGN(const std::string id, cluster().Submit(LongJob(2), data_));
  ASSERT_OK(cluster().WaitForStep(id, kStepOfSignal).status());
  // Somebody watches: an open stream must not hold the coordinator up.
  absl::StatusOr<v1::Job> seen;
  std::thread watcher([&] {
    seen = cluster().client().WatchToEnd(id, 0, absl::Now() + kPatience, [](const auto&) {});
  });
  const absl::Status stopped = cluster().StopCoordinator(kCoordinatorGrace);
  const absl::Status restarted = cluster().StartCoordinator();
  const auto job = cluster().WaitForEnd(id);
  watcher.join();
  ASSERT_OK(stopped);
  ASSERT_OK(restarted);
  ASSERT_OK(job.status());
  EXPECT_EQ(job->state(), v1::Job::SUCCEEDED) << job->state_message();
  EXPECT_EQ(job->attempt(), 1);
  EXPECT_EQ(job->restarts(), 0);
  EXPECT_TRUE(seen.ok()) << seen.status();
  for (const int rank : {0, 1}) {
    EXPECT_TRUE(EachStepOnce(ParseStepLines(NodeLog(0, id, rank)), kSteps)) << "rank " << rank;
  }
}

}  // namespace
}  // namespace dropbp::testing
