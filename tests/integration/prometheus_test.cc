// A real Prometheus scrapes a coordinator and two workers while they train a job.
#include <csignal>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/integration/cluster_test.h"
#include "tests/support/free_address.h"

namespace dropbp::testing {
namespace {

class PrometheusTest : public ClusterTest {
 protected:
  void SetUp() override {
    ClusterTest::SetUp();
    if (IsSkipped()) return;
    StartCluster({.workers = 2, .slots = 1, .metrics = true});
    if (!HasFatalFailure()) StartPrometheus();
  }

  void TearDown() override {
    prometheus_.reset();
    ClusterTest::TearDown();
  }

  // With the rules of deploy/prometheus and its names of scrape jobs, only faster.
  void StartPrometheus() {
    const auto& addresses = cluster().metrics_addresses();
    const std::string config = (cluster().folder() / "prometheus.yml").string();
    std::ofstream(config) << "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
                          << "rule_files: [\"" << source_ << "/deploy/prometheus/rules/*.yml\"]\n"
                          << "scrape_configs:\n"
                          << "- job_name: dropbp-coordinator\n  static_configs: [{targets: [\""
                          << addresses[0] << "\"]}]\n"
                          << "- job_name: dropbp-worker\n  static_configs: [{targets: [\""
                          << addresses[1] << "\", \"" << addresses[2] << "\"]}]\n";
    ASSERT_OK_AND_ASSIGN(
        prometheus_,
        cluster().RunProgram(
            "prometheus",
            {programs_ + "/prometheus", "--config.file=" + config,
             "--storage.tsdb.path=" + (cluster().folder() / "tsdb").string(),
             "--web.listen-address=" + address_, "--web.external-url=http://" + address_}));
  }

  // Runs the script that asks Prometheus; it exits with 0 if all is as it should be.
  void Ask(const std::string& what, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {RequiredEnvironment("DROPBP_ORACLES") + "/bin/python",
                                          source_ + "/tests/integration/ask_prometheus.py", what,
                                          "--prometheus=http://" + address_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    ASSERT_OK_AND_ASSIGN(auto script, cluster().RunProgram("ask-" + what, arguments));
    ASSERT_OK_AND_ASSIGN(const ProcessEnd end, script->WaitForEnd(kPatience));
    EXPECT_EQ(end.exit_code, 0) << cluster().FileContent("ask-" + what + ".out")
                                << cluster().FileContent("ask-" + what + ".err");
    std::cout << cluster().FileContent("ask-" + what + ".out");
  }

  const std::string source_ = RequiredEnvironment("DROPBP_SOURCE_DIR");
  const std::string programs_ = RequiredEnvironment("DROPBP_PROMETHEUS");
  const std::string address_ = FreeAddress();
  std::unique_ptr<ChildProcess> prometheus_;
};

TEST_F(PrometheusTest, EveryQueryOfRulesAndDashboardsReturnsDataDuringAJob) {
  Ask("ready", {"--targets=3"});
  JobSpec spec = TinyJob();
  spec.training.steps = 100000;
  spec.dropbp.probe_at = 0.0001;
  spec.dataset.validation_share = 0.1;
  spec.evaluation.every_steps = 5;
  spec.evaluation.max_samples = 2;
  ASSERT_OK_AND_ASSIGN(const std::string id, cluster().Submit(spec, data_, "watched"));
  ASSERT_OK(cluster().WaitForStep(id, 20).status());
  Ask("rules");
  Ask("dashboards", {"--job=" + id, "--worker=" + cluster().metrics_addresses()[1]});
  Ask("endpoints", {"--promtool=" + programs_ + "/promtool", "--min-families=30",
                    "--endpoints=" + absl::StrJoin(cluster().metrics_addresses(), ",")});
  ASSERT_OK(cluster().client().CancelJob(id).status());
  ASSERT_OK(cluster().WaitForEnd(id, absl::Seconds(20)).status());
  Ask("gone", {"--job=" + id, "--endpoints=" + absl::StrJoin(cluster().metrics_addresses(), ",")});
}

}  // namespace
}  // namespace dropbp::testing
