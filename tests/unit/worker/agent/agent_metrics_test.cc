#include "worker/agent/agent_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <regex>
#include <set>

#include "tests/support/poll_until.h"
#include "tests/unit/worker/agent/gateway_server.h"
#include "tests/unit/worker/agent/temp_folder.h"
#include "worker/agent/agent_table.h"

namespace dropbp::agent {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// gmock's own takes regexec from whichever library comes first, and Oniguruma has one too.
MATCHER_P(ContainsRegex, pattern, "contains " + std::string(pattern)) {
  return std::regex_search(arg, std::regex(pattern));
}

class AgentMetricsTest : public ::testing::Test {
 protected:
  AgentMetricsTest() {
    WriteText(folder_ / "models/tiny/config.json", "{}");
    AgentOptions options;
    options.coordinator = server_.address();
    options.worker_id = "node";
    options.models_dir = folder_ / "models";
    options.work_dir = folder_ / "work";
    options.device = "cpu";
    options.slots = 2;
    options.trainer = BinFolder() + "/dropbp-test-trainer";
    agent_ = Agent::Create(options, BinFolder() + "/dropbp-worker").value();
    EXPECT_TRUE(server_.AwaitHellos(1));
  }

  // Starts one rank that behaves as told.
  void Start(const std::string& job_id, const std::string& behaviour) {
    v1::SessionResponse response;
    v1::StartRanks& order = *response.mutable_start_ranks();
    order.set_job_id(job_id);
    order.set_attempt(1);
    order.set_world_size(1);
    order.mutable_spec()->set_model("tiny");
    order.mutable_spec()->mutable_dataset()->set_artifact(server_.AddArtifact("the data"));
    (*order.mutable_spec()->mutable_labels())["behaviour"] = behaviour;
    order.add_ranks()->set_slot(1);
    server_.Send(response);
  }

  std::string Scrape() {
    return prometheus::TextSerializer().Serialize(AgentMetrics(*agent_).Collect());
  }
  bool AwaitLine(const std::string& line) {
    return dropbp::testing::PollUntil(
        kPatience, [&] { return Scrape().find(line + "\n") != std::string::npos; });
  }

  TempFolder folder_;
  GatewayServer server_;
  std::unique_ptr<Agent> agent_;
};

TEST_F(AgentMetricsTest, TellWhoItIsAndWhatItHas) {
  const std::string text = Scrape();
  EXPECT_THAT(text, HasSubstr("dropbp_worker_info{worker=\"node\"} 1"));
  EXPECT_THAT(text, HasSubstr("dropbp_worker_slots{kind=\"cpu\"} 2"));
  EXPECT_THAT(text, HasSubstr("dropbp_worker_models 1"));
  EXPECT_THAT(text, ContainsRegex("dropbp_disk_free_bytes.folder=\"work\". [1-9]"));
  EXPECT_THAT(text, ContainsRegex("dropbp_worker_memory_available_bytes [1-9]"));
  EXPECT_THAT(text, ContainsRegex("process_resident_memory_bytes [1-9]"));
}

TEST_F(AgentMetricsTest, ShowATrainerOnlyWhileItRuns) {
  Start("job", "wait");
  EXPECT_TRUE(AwaitLine("dropbp_worker_trainers_running 1")) << Scrape();
  const std::string labels = ".slot=\"1\",job_id=\"job\",rank=\"0\".";
  // A process that has only just begun has no memory of its own yet.
  const auto has_memory =
      ContainsRegex("dropbp_worker_trainer_resident_memory_bytes" + labels + " [1-9]");
  EXPECT_TRUE(dropbp::testing::PollUntil(kPatience, [&] {
    return ::testing::Value(Scrape(), has_memory);
  })) << Scrape();
  EXPECT_THAT(Scrape(), ContainsRegex("dropbp_worker_trainer_cpu_seconds_total" + labels));
  v1::SessionResponse stop;
  stop.mutable_stop_ranks()->set_job_id("job");
  stop.mutable_stop_ranks()->set_attempt(1);
  stop.mutable_stop_ranks()->set_grace_seconds(5);
  server_.Send(stop);
  EXPECT_TRUE(AwaitLine("dropbp_worker_trainers_ended_total{how=\"stopped\"} 1")) << Scrape();
  EXPECT_TRUE(AwaitLine("dropbp_worker_trainers_running 0")) << Scrape();
  EXPECT_THAT(Scrape(), Not(HasSubstr("\"job\"")));
}

TEST_F(AgentMetricsTest, CountHowTrainersEnd) {
  Start("good", "finish");
  EXPECT_TRUE(AwaitLine("dropbp_worker_trainers_ended_total{how=\"finished\"} 1")) << Scrape();
  Start("bad", "exit");
  EXPECT_TRUE(AwaitLine("dropbp_worker_trainers_ended_total{how=\"failed\"} 1")) << Scrape();
  Start("worse", "abort");
  EXPECT_TRUE(AwaitLine("dropbp_worker_trainers_ended_total{how=\"killed\"} 1")) << Scrape();
}

TEST_F(AgentMetricsTest, ShowACutSessionAndItsBacklog) {
  EXPECT_TRUE(AwaitLine("dropbp_worker_session_connected 1")) << Scrape();
  EXPECT_TRUE(AwaitLine("dropbp_worker_sessions_total 1")) << Scrape();
  server_.set_acknowledges(false);
  Start("job", "finish");
  EXPECT_TRUE(AwaitLine("dropbp_worker_trainers_ended_total{how=\"finished\"} 1")) << Scrape();
  EXPECT_THAT(Scrape(), ContainsRegex("dropbp_worker_backlog_frames [1-9]"));
  EXPECT_THAT(Scrape(), ContainsRegex("dropbp_worker_backlog_bytes [1-9]"));
  server_.Stop();
  EXPECT_TRUE(AwaitLine("dropbp_worker_session_connected 0")) << Scrape();
  server_.set_acknowledges(true);
  server_.Start();
  EXPECT_TRUE(AwaitLine("dropbp_worker_sessions_total 2")) << Scrape();
  EXPECT_TRUE(AwaitLine("dropbp_worker_backlog_frames 0")) << Scrape();
}

TEST_F(AgentMetricsTest, ExposeEveryFamilyOfTheTable) {
  Start("job", "wait");
  EXPECT_TRUE(AwaitLine("dropbp_worker_trainers_running 1")) << Scrape();
  std::set<std::string> exposed;
  for (const prometheus::MetricFamily& family : AgentMetrics(*agent_).Collect()) {
    exposed.insert(family.name);
  }
  const std::set<std::string> of_gpus = {
      "dropbp_worker_device_memory_used_bytes", "dropbp_worker_device_utilisation_ratio",
      "dropbp_worker_device_temperature_celsius", "dropbp_worker_device_power_watts"};
  for (const MetricInfo& metric : AgentTable()) {
    EXPECT_NE(exposed.count(metric.name), of_gpus.count(metric.name)) << metric.name;
  }
}

TEST_F(AgentMetricsTest, SayWhyTheyCannotBeServed) {
  const absl::Status status = MetricsServer::Start(server_.address(), *agent_).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("--metrics-listen " + server_.address()));
}

TEST(GpuMonitorTest, ReadsEachGpu) {
  const std::vector<Gpu> gpus = FindGpus();
  if (gpus.empty()) GTEST_SKIP() << "no NVIDIA GPU here";
  const auto monitor = GpuMonitor::Open();
  ASSERT_NE(monitor, nullptr);
  for (const Gpu& gpu : gpus) {
    const auto reading = monitor->Read(gpu.uuid);
    ASSERT_TRUE(reading.has_value()) << gpu.uuid;
    EXPECT_LE(reading->memory_used_bytes.value_or(0), gpu.memory_bytes);
    EXPECT_GT(reading->temperature_celsius.value_or(20), 0);
  }
  EXPECT_FALSE(monitor->Read("GPU-00000000-0000-0000-0000-000000000000").has_value());
}

}  // namespace
}  // namespace dropbp::agent
