// The program dropbp-worker, as people and service managers run it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "core/base/files.h"
#include "tests/support/child_process.h"
#include "tests/support/poll_until.h"
#include "tests/unit/worker/agent/gateway_server.h"
#include "tests/unit/worker/agent/temp_folder.h"

namespace dropbp::agent {
namespace {

using ::testing::HasSubstr;

class WorkerProcessTest : public ::testing::Test {
 protected:
  WorkerProcessTest() { WriteText(folder_ / "models/tiny/config.json", "{}"); }

  void StartWorker() { StartWorker(server_.address()); }
  void StartWorker(const std::string& coordinator) {
    const std::vector<std::string> arguments = {
        BinFolder() + "/dropbp-worker",
        "--coordinator=" + coordinator,
        "--models-dir=" + folder_ / "models",
        "--work-dir=" + folder_ / "work",
        "--device=cpu",
        "--worker-id=node",
        "--trainer=" + BinFolder() + "/dropbp-test-trainer"};
    auto worker = dropbp::testing::ChildProcess::Start(
        {.arguments = arguments, .output_path = folder_ / "worker.out"});
    ASSERT_TRUE(worker.ok()) << worker.status();
    worker_ = *std::move(worker);
  }

  // Starts a trainer and returns its process id.
  pid_t StartTrainer(const std::string& behaviour) {
    v1::SessionResponse order;
    v1::StartRanks& start = *order.mutable_start_ranks();
    start.set_job_id("job");
    start.set_attempt(1);
    start.set_world_size(1);
    start.mutable_spec()->set_model("tiny");
    start.mutable_spec()->mutable_dataset()->set_artifact(server_.AddArtifact("the data"));
    (*start.mutable_spec()->mutable_labels())["behaviour"] = behaviour;
    start.add_ranks();
    server_.Send(order);
    const v1::SessionRequest log = server_.AwaitFrame(
        [](const auto& frame) { return frame.rank_log().text().rfind("processes", 0) == 0; });
    pid_t trainer = 0;
    EXPECT_EQ(sscanf(log.rank_log().text().c_str(), "processes %d", &trainer), 1)
        << log.rank_log().text();
    return trainer;
  }

  int ExitCode() {
    const auto end = worker_->WaitForEnd(kPatience);
    EXPECT_TRUE(end.ok()) << end.status();
    return end.ok() ? end->exit_code : -1;
  }
  std::string Output() { return ReadText(folder_ / "worker.out"); }

  TempFolder folder_;
  GatewayServer server_;
  std::unique_ptr<dropbp::testing::ChildProcess> worker_;
};

TEST_F(WorkerProcessTest, EndsWithZeroAfterItStoppedItsTrainers) {
  StartWorker();
  StartTrainer("wait");
  worker_->Signal(SIGTERM);
  EXPECT_EQ(ExitCode(), 0) << Output();
  const v1::RankExited exited =
      server_.AwaitFrame([](const auto& frame) { return frame.has_rank_exited(); }).rank_exited();
  EXPECT_EQ(exited.exit_code(), 0);
  EXPECT_TRUE(exited.stopped());
}

TEST_F(WorkerProcessTest, TakesItsTrainersAlongWhenItIsKilled) {
  StartWorker();
  const pid_t trainer = StartTrainer("wait");
  worker_->Kill();
  EXPECT_TRUE(dropbp::testing::PollUntil(kPatience, [&] { return kill(trainer, 0) != 0; }));
}

TEST_F(WorkerProcessTest, EndsWithZeroWhileNobodyAnswers) {
  StartWorker();
  ASSERT_TRUE(server_.AwaitHellos(1));
  server_.Stop();
  worker_->Signal(SIGINT);
  EXPECT_EQ(ExitCode(), 0) << Output();
}

TEST_F(WorkerProcessTest, RefusesAMistakenFlagWithOneLine) {
  StartWorker("example.com:7070");
  EXPECT_EQ(ExitCode(), 2);
  EXPECT_THAT(Output(), HasSubstr("dropbp-worker: --coordinator: found 'example.com:7070'"));
}

}  // namespace
}  // namespace dropbp::agent
