#include <prometheus/text_serializer.h>

#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/metrics/coordinator_metrics.h"
#include "server/metrics/coordinator_table.h"
#include "server/store/database.h"
#include "tests/unit/server/cluster_fixture.h"

namespace dropbp::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Every unit has S_u = 0.25.
v1::TrainerReport Probe() {
  v1::TrainerReport report;
  report.mutable_probe()->set_step(5);
  report.mutable_probe()->set_seconds(2.5);
  report.mutable_probe()->add_base_norms(1.0);
  for (int unit = 0; unit < 4; ++unit) {
    v1::UnitNorms* norms = report.mutable_probe()->add_units();
    norms->set_unit(unit);
    norms->add_norms(0.5);
  }
  return report;
}

v1::TrainerReport Evaluation() {
  v1::TrainerReport report;
  report.mutable_evaluation()->set_step(1);
  report.mutable_evaluation()->set_loss(0.5);
  report.mutable_evaluation()->set_supervised_tokens(10);
  return report;
}

class MetricsTest : public ClusterTest {
 protected:
  MetricsTest() {
    options_.observer = &events_;
    Crash();
  }
  ~MetricsTest() override { coordinator_.reset(); }
  std::vector<prometheus::MetricFamily> Collect() {
    return CoordinatorMetrics(*coordinator_, events_, dir_.path()).Collect();
  }
  std::string Scrape() { return prometheus::TextSerializer().Serialize(Collect()); }

  EventMetrics events_;
};

size_t CountSeries(const std::vector<prometheus::MetricFamily>& families) {
  size_t series = 0;
  for (const prometheus::MetricFamily& family : families) {
    for (const prometheus::ClientMetric& metric : family.metric) {
      // A histogram has a series for each bucket, its sum and its count.
      series += metric.histogram.bucket.empty() ? 1 : metric.histogram.bucket.size() + 2;
    }
  }
  return series;
}

TEST_F(MetricsTest, ShowARunningJobAndForgetItWhenItEnds) {
  TestAgent agent("a", 11, 2);
  agent.Connect(*coordinator_);
  SubmitAndRun("job", agent);
  for (int rank : {0, 1}) ASSERT_TRUE(agent.Step(*coordinator_, "job", 1, rank, 0).ok());
  std::string text = Scrape();
  EXPECT_THAT(text, HasSubstr("dropbp_jobs{state=\"RUNNING\"} 1"));
  EXPECT_THAT(text, HasSubstr("dropbp_workers_connected 1"));
  EXPECT_THAT(text, HasSubstr("dropbp_slots_busy{kind=\"cpu\"} 2"));
  EXPECT_THAT(text, HasSubstr("dropbp_job_loss{job_id=\"job\"} 2"));
  EXPECT_THAT(text, Not(HasSubstr("dropbp_job_validation_loss{")));
  ASSERT_TRUE(agent.Report(*coordinator_, "job", 1, 0, Evaluation()).ok());
  const std::string evaluated = Scrape();
  EXPECT_THAT(evaluated, HasSubstr("dropbp_job_validation_loss{job_id=\"job\"} 0.5"));
  EXPECT_THAT(evaluated, HasSubstr("dropbp_job_validation_perplexity{job_id=\"job\"} 1.648"));
  EXPECT_THAT(text, HasSubstr("dropbp_job_realised_drop_rate_ratio{job_id=\"job\"} 0.4"));
  EXPECT_THAT(text, HasSubstr("dropbp_job_gradient_avoided_bytes_total{job_id=\"job\"} 10"));
  EXPECT_THAT(text, HasSubstr("dropbp_job_step_phase_seconds{job_id=\"job\",phase=\"backward\"}"));
  EXPECT_THAT(text, HasSubstr("dropbp_job_unit_drop_rate_ratio{job_id=\"job\",layer=\"1\",kind="
                              "\"mlp\"}"));
  EXPECT_THAT(text, HasSubstr("dropbp_job_target_drop_rate_ratio{job_id=\"job\"} 0.5"));
  EXPECT_THAT(text, HasSubstr("dropbp_job_planned_drop_rate_ratio{job_id=\"job\"} 0.5"));
  EXPECT_THAT(text, Not(HasSubstr("dropbp_job_probe_seconds")));
  EXPECT_THAT(text, Not(HasSubstr("dropbp_job_unit_sensitivity")));
  ASSERT_TRUE(agent.Report(*coordinator_, "job", 1, 0, Probe()).ok());
  text = Scrape();
  EXPECT_THAT(text, HasSubstr("dropbp_job_plan_version{job_id=\"job\"} 2"));
  EXPECT_THAT(text, HasSubstr("dropbp_job_probe_seconds{job_id=\"job\"} 2.5"));
  EXPECT_THAT(text, HasSubstr("dropbp_job_unit_sensitivity{job_id=\"job\",layer=\"1\",kind="
                              "\"mlp\"} 0.25"));
  for (int rank : {0, 1}) ASSERT_TRUE(agent.Finished(*coordinator_, "job", 1, rank).ok());
  text = Scrape();
  EXPECT_THAT(text, HasSubstr("dropbp_jobs{state=\"SUCCEEDED\"} 1"));
  EXPECT_THAT(text, Not(HasSubstr("job_id=\"job\"")));
}

TEST_F(MetricsTest, ExposeEveryFamilyOfTheTable) {
  TestAgent agent("a", 11, 2);
  agent.Connect(*coordinator_);
  SubmitAndRun("job", agent);
  for (int rank : {0, 1}) ASSERT_TRUE(agent.Step(*coordinator_, "job", 1, rank, 0).ok());
  ASSERT_TRUE(agent.Report(*coordinator_, "job", 1, 0, Probe()).ok());
  for (int rank : {0, 1}) HandOver(agent, "job", 1, rank, 1);
  ASSERT_TRUE(agent.Report(*coordinator_, "job", 1, 0, Evaluation()).ok());
  std::set<std::string> exposed;
  for (const prometheus::MetricFamily& family : Collect()) exposed.insert(family.name);
  std::set<std::string> of_others = {"dropbp_rpc_total", "dropbp_rpc_duration_seconds",
                                     "dropbp_certificate_not_after_timestamp_seconds"};
  for (const MetricInfo& metric : CoordinatorTable()) {
    EXPECT_NE(exposed.count(metric.name), of_others.count(metric.name)) << metric.name;
  }
  EXPECT_GE(exposed.size(), 30u);
}

TEST_F(MetricsTest, CountWhatHappened) {
  TestAgent agent("a", 11, 2);
  agent.Connect(*coordinator_);
  SubmitAndRun("job", agent);
  AdvanceTime(absl::Seconds(3), {&agent});
  for (int rank : {0, 1}) ASSERT_TRUE(agent.Step(*coordinator_, "job", 1, rank, 0).ok());
  v1::TrainerReport diverged;
  *diverged.mutable_step() = TestStep(1);
  diverged.mutable_step()->set_loss(std::nan(""));
  ASSERT_TRUE(agent.Report(*coordinator_, "job", 1, 0, diverged).ok());
  std::string text = Scrape();
  EXPECT_THAT(text, HasSubstr("dropbp_steps_total 2"));
  EXPECT_THAT(text, HasSubstr("dropbp_tokens_total 200"));
  EXPECT_THAT(text, HasSubstr("dropbp_non_finite_steps_total 1"));
  EXPECT_THAT(text, HasSubstr("dropbp_job_non_finite_steps_total{job_id=\"job\"} 1"));
  EXPECT_THAT(text, HasSubstr("dropbp_queue_wait_seconds_count 1"));
  EXPECT_THAT(text, HasSubstr("dropbp_attempt_start_seconds_count 1"));
  AdvanceTime(absl::Seconds(4), {&agent});
  EXPECT_THAT(Scrape(), HasSubstr("dropbp_job_work_at_risk_seconds{job_id=\"job\"} 4"));
  ASSERT_TRUE(agent.Exited(*coordinator_, "job", 1, 1, /*signal=*/9).ok());
  text = Scrape();
  EXPECT_THAT(text, HasSubstr("dropbp_restarts_total{charged=\"true\"} 1"));
  EXPECT_THAT(text, HasSubstr("dropbp_job_restarts_total{job_id=\"job\"} 1"))
      << "a job that restarts keeps its series";
  ASSERT_TRUE(coordinator_->CancelJob("job").ok());
  ASSERT_TRUE(agent.Exited(*coordinator_, "job", 1, 0, /*signal=*/15).ok());
  text = Scrape();
  EXPECT_THAT(text, HasSubstr("dropbp_jobs_ended_total{state=\"CANCELLED\"} 1"));
  EXPECT_THAT(text, Not(HasSubstr("dropbp_store_commit_duration_seconds_count 0")));
}

TEST_F(MetricsTest, TellWhoWaitsAndWhoIsLost) {
  TestAgent agent("a", 11, 2);
  agent.Connect(*coordinator_);
  Submit("large", 4);
  ASSERT_TRUE(agent.Prepared(*coordinator_, "large").ok());
  AdvanceTime(absl::Seconds(60), {&agent});
  EXPECT_THAT(Scrape(), HasSubstr("dropbp_queue_oldest_wait_seconds 60"));
  AdvanceTime(options_.lease + absl::Seconds(2));
  const std::string text = Scrape();
  EXPECT_THAT(text, HasSubstr("dropbp_workers_lost_total 1"));
  EXPECT_THAT(text, HasSubstr("dropbp_workers_known 0"));
}

TEST_F(MetricsTest, NameTheRankThatKeepsTheOthersWaiting) {
  TestAgent agent("a", 11, 2);
  agent.Connect(*coordinator_);
  SubmitAndRun("job", agent);
  for (int rank : {0, 1}) {
    v1::TrainerReport report;
    *report.mutable_step() = TestStep(0);
    report.mutable_step()->set_all_reduce_seconds(rank == 0 ? 0.375 : 0.125);
    ASSERT_TRUE(agent.Report(*coordinator_, "job", 1, rank, report).ok());
  }
  const std::string text = Scrape();
  EXPECT_THAT(text, HasSubstr("dropbp_job_rank_compute_seconds{job_id=\"job\",rank=\"0\"} 0.125"));
  EXPECT_THAT(text, HasSubstr("dropbp_job_rank_compute_seconds{job_id=\"job\",rank=\"1\"} 0.375"));
}

TEST_F(MetricsTest, ShowTheOldestRunningJobsAndCountTheRest) {
  constexpr int kJobs = static_cast<int>(kMaxJobsWithSeries) + 2;
  TestAgent agent("a", 11, kJobs);
  agent.Connect(*coordinator_);
  // Names in another order than creation.
  for (int i = 0; i < kJobs; ++i) SubmitAndRun(absl::StrCat("job-", 999 - i), agent, 1);
  const std::string text = Scrape();
  EXPECT_THAT(text, HasSubstr("dropbp_jobs_without_series 2"));
  EXPECT_THAT(text, HasSubstr("dropbp_job_step{job_id=\"job-999\"}"));
  EXPECT_THAT(text, Not(HasSubstr(absl::StrCat("\"job-", 999 - kJobs + 1, "\""))));
}

// One job goes its whole way; the store then gets copies of it, in one transaction.
TEST_F(MetricsTest, StayFewAndQuickWithAHundredThousandFinishedJobs) {
  TestAgent agent("a", 11, 2);
  agent.Connect(*coordinator_);
  SubmitAndRun("job", agent);
  for (int rank : {0, 1}) ASSERT_TRUE(agent.Finished(*coordinator_, "job", 1, rank).ok());
  coordinator_.reset();
  {
    auto db = Database::Open(dir_.path() + "/jobs.db");
    ASSERT_TRUE(db.ok()) << db.status();
    const absl::Status copied = (*db)->RunScript(
        "BEGIN;"
        "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
        " INSERT INTO jobs (job_id, state, priority, job)"
        " SELECT 'job-' || i, state, priority, job FROM n, jobs WHERE job_id = 'job';"
        "COMMIT;");
    ASSERT_TRUE(copied.ok()) << copied;
  }
  Crash();
  EXPECT_THAT(Scrape(), HasSubstr("dropbp_jobs{state=\"SUCCEEDED\"} 100000"));
  EXPECT_LE(CountSeries(Collect()), 2000u);
  std::vector<absl::Duration> times;
  for (int i = 0; i < 9; ++i) {
    const absl::Time begun = absl::Now();
    Scrape();
    times.push_back(absl::Now() - begun);
  }
  std::sort(times.begin(), times.end());
  RecordProperty("scrape_ms", absl::StrCat(absl::ToDoubleMilliseconds(times[4])));
  RecordProperty("series", static_cast<int>(CountSeries(Collect())));
  EXPECT_LT(times[4], absl::Milliseconds(100));
}

}  // namespace
}  // namespace dropbp::server
