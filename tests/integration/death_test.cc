// kill -9 of each kind of process in the middle of a job.
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/integration/cluster_test.h"
#include "tests/support/poll_until.h"

namespace dropbp::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

// Long enough that every death comes in the middle.
constexpr int64_t kSteps = 600;
constexpr int64_t kStepOfDeath = 100;

class DeathTest : public ClusterTest {
 protected:
  static JobSpec LongJob() {
    JobSpec spec = TinyJob();
    spec.training.steps = kSteps;
    return spec;
  }

  // The adapter that LongJob() makes when nothing dies; trained once for all tests.
  void ExpectAsUndisturbed(const v1::Job& job) {
    static const std::string undisturbed = AdapterHash(RunUndisturbed(LongJob()));
    ASSERT_FALSE(undisturbed.empty());
    EXPECT_EQ(AdapterHash(job), undisturbed);
  }

  // What the coordinator serves holds every step once: a coordinator that was killed is sent lines
  // again that it had not acknowledged, and takes none of them twice.
  void ExpectServedLogHasEachStepOnce(const std::string& job_id, int rank) {
    ASSERT_OK_AND_ASSIGN(const std::string log, cluster().Log(job_id, rank));
    EXPECT_TRUE(EachStepOnce(ParseStepLines(log), kSteps)) << "served log of rank " << rank;
  }

  // Steps that a rank has made so far, by its own log on its node.
  int64_t StepsWritten(const std::string& job_id, int rank) {
    const std::vector<StepLine> lines = ParseStepLines(NodeLog(0, job_id, rank));
    return lines.empty() ? 0 : lines.back().step;
  }

  // Every rank made every step exactly once, as the trainers themselves wrote it down.
  void ExpectEachStepOnce(const std::string& job_id) {
    for (const int rank : {0, 1}) {
      EXPECT_TRUE(EachStepOnce(ParseStepLines(NodeLog(0, job_id, rank)), kSteps))
          << "log of rank " << rank;
      ExpectServedLogHasEachStepOnce(job_id, rank);
    }
    ExpectRecordOfEachStepOnce(job_id, kSteps);
  }
};

// With the default allocation; the next test has one that probes.
TEST_F(DeathTest, AJobDoesNotNoticeThatTheCoordinatorWasKilled) {
  ASSERT_NO_FATAL_FAILURE(StartCluster());
  JobSpec spec = LongJob();
  spec.dropbp = {};
  const std::string undisturbed = AdapterHash(RunUndisturbed(spec));
  ASSERT_FALSE(undisturbed.empty());
  ASSERT_OK_AND_ASSIGN(const std::string id, cluster().Submit(spec, data_));
  // One watcher stays through the death.
  std::vector<int64_t> steps;
  std::vector<int64_t> sequences;
  absl::StatusOr<v1::Job> seen;
  std::thread watcher([&] {
    seen = cluster().client().WatchToEnd(
        id, 0, absl::Now() + kPatience, [&](const v1::JobEvent& event) {
          (event.sequence() > 0 ? sequences : steps)
              .push_back(event.sequence() > 0 ? event.sequence() : event.progress().step());
        });
  });
  const auto before = cluster().WaitForStep(id, kStepOfDeath);
  const std::vector<FoundProcess> trainers = cluster().Trainers();
  cluster().KillCoordinator();
  absl::SleepFor(absl::Seconds(10));  // the death itself lasts that long
  const absl::Status restarted = cluster().StartCoordinator();
  const auto end = cluster().WaitForEnd(id);
  watcher.join();

  ASSERT_OK(before.status());
  ASSERT_OK(restarted);
  ASSERT_OK(end.status());
  EXPECT_EQ(trainers.size(), 2u);
  EXPECT_EQ(end->state(), v1::Job::SUCCEEDED) << end->state_message();
  EXPECT_EQ(end->attempt(), 1);
  EXPECT_EQ(end->restarts(), 0);
  EXPECT_EQ(AdapterHash(*end), undisturbed);
  ExpectEachStepOnce(id);
  ASSERT_OK(seen.status());
  EXPECT_EQ(std::set<int64_t>(sequences.begin(), sequences.end()).size(), sequences.size())
      << "an event came twice";
  EXPECT_EQ(static_cast<int64_t>(sequences.size()), end->last_event()) << "an event is missing";
  EXPECT_TRUE(std::is_sorted(steps.begin(), steps.end()));
  EXPECT_EQ(std::set<int64_t>(steps.begin(), steps.end()).size(), steps.size())
      << "a step came twice";
}

// Masks are sent four blocks ahead; the coordinator stays away until the ranks have used those and
// three more that nobody sent them, with two plans beginning meanwhile.
TEST_F(DeathTest, AJobGoesOnForThreePlanBlocksThatNoCoordinatorSent) {
  constexpr int64_t kBlock = 20;
  constexpr int64_t kStepOfReturn = kStepOfDeath + (4 + 3 + 2) * kBlock;
  ASSERT_NO_FATAL_FAILURE(StartCluster({.plan_block_steps = kBlock}));
  JobSpec spec = LongJob();
  spec.dropbp.probe_at = 0.1;
  spec.dropbp.probe_every = 80;  // before steps 60, 140, 220, ...
  const std::string undisturbed = AdapterHash(RunUndisturbed(spec));
  ASSERT_OK_AND_ASSIGN(const std::string id, cluster().Submit(spec, data_));
  ASSERT_OK(cluster().WaitForStep(id, kStepOfDeath).status());
  cluster().KillCoordinator();
  const int64_t step_of_death = StepsWritten(id, 0);
  const bool used = PollUntil(kPatience, [&] {
    return StepsWritten(id, 0) >= kStepOfReturn && StepsWritten(id, 1) >= kStepOfReturn;
  });
  EXPECT_TRUE(used) << "rank 0 is at step " << StepsWritten(id, 0);
  EXPECT_LT(step_of_death, kStepOfReturn - 7 * kBlock) << "the death came too late";
  ASSERT_OK(cluster().StartCoordinator());
  ASSERT_OK_AND_ASSIGN(const v1::Job job, cluster().WaitForEnd(id));
  EXPECT_EQ(job.state(), v1::Job::SUCCEEDED) << job.state_message();
  EXPECT_EQ(job.attempt(), 1);
  EXPECT_EQ(job.restarts(), 0);
  EXPECT_EQ(AdapterHash(job), undisturbed);
  // The returning coordinator heard of every step and plan, and compared them with its own.
  ExpectEachStepOnce(id);
  EXPECT_EQ(job.plan().version(), job.plan().stage_count());
  EXPECT_EQ(job.plan().probe_step(), job.plan().stages(job.plan().stages_size() - 1).first_step());
}

TEST_F(DeathTest, AKilledTrainerRestartsTheGangAndTheResultIsTheSame) {
  ASSERT_NO_FATAL_FAILURE(StartCluster());
  for (const int victim : {0, 1}) {
    ASSERT_OK_AND_ASSIGN(const std::string id, cluster().Submit(LongJob(), data_));
    ASSERT_OK(cluster().WaitForStep(id, kStepOfDeath).status());
    ASSERT_OK(cluster().KillTrainer(victim));
    ASSERT_OK_AND_ASSIGN(const v1::Job job, cluster().WaitForEnd(id));
    EXPECT_EQ(job.state(), v1::Job::SUCCEEDED) << job.state_message();
    EXPECT_EQ(job.attempt(), 2);
    EXPECT_EQ(job.restarts(), 1);
    ExpectAsUndisturbed(job);
    ASSERT_OK_AND_ASSIGN(const std::vector<v1::JobEvent> events, cluster().Events(id));
    for (const v1::JobEvent& event : events) {
      const bool restarts =
          event.type() == v1::JobEvent::STATE_CHANGED && event.state() == v1::Job::RESTARTING;
      if (!restarts) continue;
      EXPECT_THAT(event.message(), HasSubstr("was ended by signal 9"));
    }
  }
}

TEST_F(DeathTest, AKilledAgentTakesItsTrainersWithItAndTheGangStartsAgain) {
  ASSERT_NO_FATAL_FAILURE(StartCluster());
  ASSERT_OK_AND_ASSIGN(const std::string id, cluster().Submit(LongJob(), data_));
  ASSERT_OK(cluster().WaitForStep(id, kStepOfDeath).status());
  cluster().KillWorker(0);
  ASSERT_OK(cluster().WaitForNoTrainers(absl::Seconds(5)));
  ASSERT_OK(cluster().StartWorker(0));
  ASSERT_OK_AND_ASSIGN(const v1::Job job, cluster().WaitForEnd(id));
  EXPECT_EQ(job.state(), v1::Job::SUCCEEDED) << job.state_message();
  EXPECT_EQ(job.attempt(), 2);
  EXPECT_EQ(job.restarts(), 0) << "lost workers are not charged";
  ExpectAsUndisturbed(job);
}

TEST_F(DeathTest, AnAgentThatStaysAwayLosesItsLeaseAndTheGangMoves) {
  ASSERT_NO_FATAL_FAILURE(
      StartCluster({.workers = 2, .lease_seconds = 2, .heartbeat_seconds = 0.5}));
  ASSERT_OK_AND_ASSIGN(const std::string id, cluster().Submit(LongJob(), data_));
  ASSERT_OK_AND_ASSIGN(const v1::Job running, cluster().WaitForStep(id, kStepOfDeath));
  ASSERT_EQ(running.workers_size(), 2);
  const int victim = running.workers(0) == "worker-0" ? 0 : 1;
  cluster().KillWorker(victim);
  ASSERT_OK_AND_ASSIGN(const v1::Job job, cluster().WaitForEnd(id));
  EXPECT_EQ(job.state(), v1::Job::SUCCEEDED) << job.state_message();
  EXPECT_EQ(job.attempt(), 2);
  for (const std::string& worker : job.workers())
    EXPECT_EQ(worker, absl::StrCat("worker-", 1 - victim));
  // So that all can be stopped in good order.
  ASSERT_OK(cluster().StartWorker(victim));
  ASSERT_OK(cluster().WaitForWorkers());
}

TEST_F(DeathTest, AJobThatCrashesAgainAndAgainFailsAtItsRestartBudget) {
  ASSERT_NO_FATAL_FAILURE(StartCluster());
  JobSpec spec = LongJob();
  spec.training.steps = 100000;
  spec.max_restarts = 1;
  ASSERT_OK_AND_ASSIGN(const std::string id, cluster().Submit(spec, data_));
  for (const int attempt : {1, 2}) {
    ASSERT_OK_AND_ASSIGN(const v1::Job job, cluster().WaitForStep(id, 5 * attempt));
    ASSERT_EQ(job.attempt(), attempt);
    ASSERT_OK(cluster().KillTrainer(attempt - 1));
    if (attempt == 1) ASSERT_OK(cluster().WaitForState(id, v1::Job::RESTARTING).status());
  }
  ASSERT_OK_AND_ASSIGN(const v1::Job job, cluster().WaitForEnd(id));
  EXPECT_EQ(job.state(), v1::Job::FAILED);
  EXPECT_EQ(job.restarts(), 1);
  // Not the other rank's lost connection, whichever was heard of first.
  EXPECT_THAT(job.state_message(), MatchesRegex("Gave up after 1 restart \\(max_restarts = 1\\): "
                                                "Rank [01] was ended by signal 9; .*"));
  ASSERT_OK_AND_ASSIGN(const std::vector<v1::JobEvent> events, cluster().Events(id));
  int deaths = 0;
  for (const v1::JobEvent& event : events) {
    if (event.type() != v1::JobEvent::INCIDENT) continue;
    ++deaths;
    EXPECT_THAT(event.message(), HasSubstr("training.micro_batch_size"));
    EXPECT_THAT(event.message(), HasSubstr("\nIts last lines:\n"));
  }
  EXPECT_EQ(deaths, 2);
  ASSERT_OK(cluster().WaitForNoTrainers(absl::Seconds(5)));
}

}  // namespace
}  // namespace dropbp::testing
