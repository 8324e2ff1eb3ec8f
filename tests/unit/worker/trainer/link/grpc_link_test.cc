#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "absl/synchronization/notification.h"
#include "tests/unit/worker/trainer/link/agent_server.h"
#include "worker/trainer/link/coordinator_link.h"

namespace dropbp::trainer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class GrpcLinkTest : public testing::Test {
 protected:
  GrpcLinkTest() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }

  std::unique_ptr<CoordinatorLink> Connect() {
    auto link = ConnectToAgent(server_.socket_path(), "secret");
    EXPECT_TRUE(link.ok()) << link.status();
    return *std::move(link);
  }
  v1::KvRequest AwaitQuestion() {
    return server_.Await([](const auto& message) { return message.report().has_kv(); })
        .report()
        .kv();
  }
  void Answer(v1::KvResponse answer) {
    v1::ConnectResponse response;
    *response.mutable_command()->mutable_kv() = std::move(answer);
    server_.Send(response);
  }

  AgentServer server_;
};

TEST_F(GrpcLinkTest, ReceivesItsAssignment) {
  const auto link = Connect();
  const Assignment& assignment = link->assignment();
  EXPECT_EQ(assignment.job_id, "job");
  EXPECT_EQ(assignment.attempt, 3);
  EXPECT_EQ(assignment.rank, 1);
  EXPECT_EQ(assignment.world_size, 2);
  EXPECT_EQ(assignment.spec.lora.rank, 8);
  EXPECT_EQ(assignment.spec.training.micro_batch_size, 4) << "left out: the default";
  EXPECT_EQ(assignment.model_dir, "/models/tiny");
  EXPECT_EQ(assignment.dataset_path, "/cache/data");
  EXPECT_EQ(assignment.mix_paths.at("more"), "/cache/more");
  EXPECT_EQ(assignment.output_dir, "/out");
  EXPECT_EQ(assignment.device, "cuda:0");
  EXPECT_EQ(assignment.threads, 4);
  EXPECT_EQ(assignment.host_address, "127.0.0.2");
}

TEST_F(GrpcLinkTest, IsRefusedWithAWrongToken) {
  EXPECT_EQ(ConnectToAgent(server_.socket_path(), "guess").status().code(),
            absl::StatusCode::kPermissionDenied);
}

TEST_F(GrpcLinkTest, SendsReportsInOrder) {
  {
    const auto link = Connect();
    link->ReportReady(0, 9);
    for (int step = 0; step < 5; ++step) {
      StepReport report;
      report.step = step;
      link->ReportStep(report);
    }
  }
  server_.AwaitStreamEnd();
  const auto messages = server_.Messages();
  ASSERT_EQ(messages.size(), 6u) << "closing the link sends what is queued";
  EXPECT_EQ(messages[0].report().ready().total_steps(), 9);
  for (int step = 0; step < 5; ++step) EXPECT_EQ(messages[step + 1].report().step().step(), step);
}

TEST_F(GrpcLinkTest, CarriesEveryFieldOfAReport) {
  const auto link = Connect();
  link->ReportProbe({.step = 6, .base_norms = {1, 2}, .units = {{3, {0.5, 0}}}, .seconds = 1.5});
  DropPlan plan;
  plan.version = 2;
  plan.first_step = 6;
  plan.keep_rates = {kKeepOne, 5};
  link->ReportPlan(plan);
  const v1::ProbeReport probe =
      server_.Await([](const auto& message) { return message.report().has_probe(); })
          .report()
          .probe();
  EXPECT_THAT(probe.base_norms(), ElementsAre(1, 2));
  ASSERT_EQ(probe.units_size(), 1);
  EXPECT_EQ(probe.units(0).unit(), 3);
  EXPECT_THAT(probe.units(0).norms(), ElementsAre(0.5, 0));
  const v1::PlanDigest digest =
      server_.Await([](const auto& message) { return message.report().has_plan_digest(); })
          .report()
          .plan_digest();
  EXPECT_EQ(digest.plan_version(), 2);
  EXPECT_EQ(digest.hash(), PlanHash(plan));
  EXPECT_THAT(digest.keep_rates(), ElementsAre(kKeepOne, 5));
}

TEST_F(GrpcLinkTest, AsksTheStoreAndWaitsForTheAnswer) {
  const auto link = Connect();
  std::thread agent([this] {
    v1::KvResponse answer;
    answer.set_request_id(AwaitQuestion().request_id());
    answer.set_number(12);
    Answer(answer);
  });
  EXPECT_EQ(link->store()->Add("counter", 5).value(), 12);
  agent.join();
  EXPECT_EQ(AwaitQuestion().delta(), 5);
}

TEST_F(GrpcLinkTest, GivesUpOnTheStoreAtTheTimeout) {
  const auto link = Connect();
  const auto value = link->store()->Get("never", absl::Milliseconds(1));
  EXPECT_EQ(value.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(value.status().message()), HasSubstr("GET of key 'never'"));
}

TEST_F(GrpcLinkTest, KeepsMaskBlocksAndStopRequestsForTheTrainer) {
  const auto link = Connect();
  EXPECT_EQ(link->stop_request(), StopRequest::kNone);
  v1::ConnectResponse masks;
  masks.mutable_command()->mutable_mask_block()->set_first_step(1024);
  server_.Send(masks);
  v1::ConnectResponse stop;
  stop.mutable_stop()->set_reason("cancelled");
  server_.Send(stop);
  // An answer that comes after both shows that both were taken in.
  std::thread agent([this] {
    v1::KvResponse answer;
    answer.set_request_id(AwaitQuestion().request_id());
    Answer(answer);
  });
  ASSERT_TRUE(link->store()->Check({"key"}).ok());
  agent.join();
  EXPECT_EQ(link->stop_request(), StopRequest::kStop);
  const std::vector<MaskBlock> blocks = link->TakeMaskBlocks();
  ASSERT_EQ(blocks.size(), 1u);
  EXPECT_EQ(blocks[0].first_step, 1024);
  EXPECT_TRUE(link->TakeMaskBlocks().empty());
}

TEST_F(GrpcLinkTest, ReturnsFromFinishedWhenTheAgentHasTakenIt) {
  const auto link = Connect();
  EXPECT_TRUE(link->ReportFinished(7, {"adapter.safetensors"}, "patience").ok());
  const auto finished = server_.Messages().back().finished();
  EXPECT_EQ(finished.steps(), 7);
  EXPECT_EQ(finished.early_stop(), "patience");
  EXPECT_THAT(finished.files(), ElementsAre("adapter.safetensors"));
}

TEST_F(GrpcLinkTest, TellsWhyTheAgentDidNotTakeTheResults) {
  server_.set_final_status({grpc::StatusCode::ABORTED, "upload refused"});
  const auto link = Connect();
  const absl::Status status = link->ReportFinished(7, {}, "");
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("upload refused"));
}

TEST_F(GrpcLinkTest, DeliversAFailureBeforeItReturns) {
  const auto link = Connect();
  link->ReportFailure(FailureKind::kInternal, "masks differ \xff");
  const v1::TrainerFailure failure = server_.Messages().back().report().failure();
  EXPECT_EQ(failure.kind(), v1::TrainerFailure::INTERNAL);
  EXPECT_EQ(failure.message(), "masks differ ?");
}

TEST_F(GrpcLinkTest, EndsTheProcessWhenTheAgentIsGone) {
  const auto lose_agent = [] {
    AgentServer server;
    auto link = *ConnectToAgent(server.socket_path(), "secret");
    server.Stop();
    // Only the end of the process ends the wait.
    absl::Notification().WaitForNotificationWithTimeout(kPatience);
  };
  EXPECT_EXIT(lose_agent(), testing::ExitedWithCode(3), "the agent is gone");
}

}  // namespace
}  // namespace dropbp::trainer
