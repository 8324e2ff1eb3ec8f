#include <prometheus/text_serializer.h>

#include "server/metrics/coordinator_metrics.h"
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

class MetricsTest : public ClusterTest {
 protected:
  std::string Scrape() {
    return prometheus::TextSerializer().Serialize(CoordinatorMetrics(*coordinator_).Collect());
  }
};

TEST_F(MetricsTest, ShowARunningJobAndForgetItWhenItEnds) {
  TestAgent agent("a", 11, 2);
  agent.Connect(*coordinator_);
  SubmitAndRun("job", agent);
  for (int rank : {0, 1}) ASSERT_TRUE(agent.Step(*coordinator_, "job", 1, rank, 0).ok());
  std::string text = Scrape();
  EXPECT_THAT(text, HasSubstr("dropbp_jobs{state=\"RUNNING\"} 1"));
  EXPECT_THAT(text, HasSubstr("dropbp_workers_connected 1"));
  EXPECT_THAT(text, HasSubstr("dropbp_slots_busy{kind=\"cpu\"} 2"));
  EXPECT_THAT(text, HasSubstr("dropbp_job_loss{job=\"job\"} 2"));
  EXPECT_THAT(text, HasSubstr("dropbp_job_realised_drop_rate_ratio{job=\"job\"} 0.4"));
  EXPECT_THAT(text, HasSubstr("dropbp_job_gradient_avoided_bytes_total{job=\"job\"} 10"));
  EXPECT_THAT(text, HasSubstr("dropbp_job_step_phase_seconds{job=\"job\",phase=\"backward\"}"));
  EXPECT_THAT(text, HasSubstr("dropbp_job_unit_drop_rate_ratio{job=\"job\",layer=\"1\",kind="
                              "\"mlp\"}"));
  EXPECT_THAT(text, HasSubstr("dropbp_job_target_drop_rate_ratio{job=\"job\"} 0.5"));
  EXPECT_THAT(text, HasSubstr("dropbp_job_planned_drop_rate_ratio{job=\"job\"} 0.5"));
  EXPECT_THAT(text, Not(HasSubstr("dropbp_job_probe_seconds")));
  EXPECT_THAT(text, Not(HasSubstr("dropbp_job_unit_sensitivity")));
  ASSERT_TRUE(agent.Report(*coordinator_, "job", 1, 0, Probe()).ok());
  text = Scrape();
  EXPECT_THAT(text, HasSubstr("dropbp_job_plan_version{job=\"job\"} 2"));
  EXPECT_THAT(text, HasSubstr("dropbp_job_probe_seconds{job=\"job\"} 2.5"));
  EXPECT_THAT(text, HasSubstr("dropbp_job_unit_sensitivity{job=\"job\",layer=\"1\",kind="
                              "\"mlp\"} 0.25"));
  for (int rank : {0, 1}) ASSERT_TRUE(agent.Finished(*coordinator_, "job", 1, rank).ok());
  text = Scrape();
  EXPECT_THAT(text, HasSubstr("dropbp_jobs{state=\"SUCCEEDED\"} 1"));
  EXPECT_THAT(text, Not(HasSubstr("job=\"job\"")));
}

}  // namespace
}  // namespace dropbp::server
