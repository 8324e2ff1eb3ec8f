#include "worker/agent/agent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>

#include "tests/unit/worker/agent/agent_fixture.h"

namespace dropbp::agent {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(AgentTest, RegistersItsSlotsAndModels) {
  ASSERT_TRUE(server_.AwaitHellos(1));
  const v1::WorkerHello hello = server_.Hellos()[0];
  EXPECT_EQ(hello.worker_id(), "node");
  EXPECT_NE(hello.incarnation(), 0u);
  EXPECT_THAT(hello.models(), ElementsAre("tiny"));
  ASSERT_EQ(hello.slots_size(), 2);
  EXPECT_EQ(hello.slots(1).index(), 1);
  EXPECT_EQ(hello.slots(1).kind(), v1::DeviceSlot::CPU);
  EXPECT_GT(hello.slots(1).memory_bytes(), 0);
  EXPECT_THAT(hello.ranks(), IsEmpty());
}

TEST_F(AgentTest, BringsAJobToItsEndAndUploadsItsResults) {
  Start(Order("finish"));
  const v1::RankExited exited = AwaitExit();
  EXPECT_EQ(exited.exit_code(), 0);
  EXPECT_EQ(exited.signal(), 0);
  EXPECT_FALSE(exited.stopped());
  EXPECT_THAT(exited.last_lines(), Contains("finished: OK"));

  std::vector<int64_t> steps;
  v1::TrainerFinished finished;
  for (const v1::SessionRequest& frame : server_.Frames()) {
    if (frame.rank_report().report().has_step()) {
      steps.push_back(frame.rank_report().report().step().step());
    }
    if (frame.has_rank_finished()) finished = frame.rank_finished().finished();
  }
  EXPECT_THAT(steps, ElementsAre(0, 1, 2));
  EXPECT_EQ(finished.steps(), 3);
  ASSERT_EQ(finished.artifacts_size(), 1);
  EXPECT_EQ(finished.artifacts(0).name(), "result.txt");
  EXPECT_EQ(server_.Artifact(finished.artifacts(0).sha256()), "made from the data");
}

TEST_F(AgentTest, GivesATrainerTheFilesOfAMix) {
  v1::StartRanks order = Order("finish");
  auto& mix = *order.mutable_spec()->mutable_dataset()->mutable_mix();
  mix[server_.AddArtifact("more data")] = 0.5;
  Start(order);
  EXPECT_EQ(AwaitExit().exit_code(), 0);
  for (const v1::SessionRequest& frame : server_.Frames()) {
    if (!frame.has_rank_finished()) continue;
    const v1::Artifact& result = frame.rank_finished().finished().artifacts(0);
    EXPECT_EQ(server_.Artifact(result.sha256()), "made from the data and more data");
  }
}

TEST_F(AgentTest, KeepsLogsAndRemovesResults) {
  Start(Order("finish"));
  AwaitExit();
  EXPECT_THAT(ReadText(folder_ / "work/jobs/job/attempt-1/rank-0.log"), HasSubstr("finished: OK"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "work/jobs/job/attempt-1/rank-0"));
}

TEST_F(AgentTest, UploadsResultsOnceTheCoordinatorIsBack) {
  Start(Order("exit"));  // brings the data here, so that only uploads can fail
  AwaitExit();
  server_.FailNextTransfers(3, grpc::StatusCode::UNAVAILABLE);
  Start(Order("finish", /*attempt=*/2));
  EXPECT_EQ(AwaitExit(2).exit_code(), 0);
  const v1::SessionRequest finished =
      server_.AwaitFrame([](const auto& frame) { return frame.has_rank_finished(); });
  EXPECT_EQ(finished.rank_finished().finished().artifacts_size(), 1);
}

TEST_F(AgentTest, ReportsAnExitWithTheLastLines) {
  Start(Order("exit"));
  const v1::RankExited exited = AwaitExit();
  EXPECT_EQ(exited.exit_code(), 7);
  ASSERT_EQ(exited.last_lines_size(), 20);
  EXPECT_EQ(exited.last_lines(18), "line 30");
  EXPECT_EQ(exited.last_lines(19), "the end ? without a line end");
  EXPECT_FALSE(exited.stopped());
  AwaitLog("line 1\n");
}

TEST_F(AgentTest, ReportsTheSignalThatEndedATrainer) {
  Start(Order("abort"));
  const v1::RankExited exited = AwaitExit();
  EXPECT_EQ(exited.exit_code(), -1);
  EXPECT_EQ(exited.signal(), SIGABRT);
  EXPECT_THAT(exited.last_lines(), Contains("about to abort"));
}

TEST_F(AgentTest, RelaysATrainersLastWordBeforeItsExit) {
  Start(Order("fail"));
  AwaitExit();
  const std::vector<v1::SessionRequest> frames = server_.Frames();
  const v1::TrainerFailure failure = AwaitReport(v1::TrainerReport::kFailure).failure();
  EXPECT_EQ(failure.kind(), v1::TrainerFailure::USER_ERROR);
  EXPECT_EQ(failure.message(), "the batch does not fit ?");
  EXPECT_TRUE(frames.back().has_rank_exited());
}

TEST_F(AgentTest, StopsATrainerPolitely) {
  Start(Order("wait"));
  AwaitReport(v1::TrainerReport::kReady);
  Stop(1, /*grace_seconds=*/20);
  const v1::RankExited exited = AwaitExit();
  EXPECT_EQ(exited.exit_code(), 0);
  EXPECT_TRUE(exited.stopped());
  EXPECT_THAT(exited.last_lines(), Contains("stopped as asked"));
}

TEST_F(AgentTest, KillsATrainerAndItsChildrenWhenTheGraceIsOver) {
  Start(Order("stubborn"));
  AwaitReport(v1::TrainerReport::kReady);
  int trainer = 0;
  int grandchild = 0;
  ASSERT_EQ(sscanf(AwaitLog("processes").c_str(), "processes %d %d", &trainer, &grandchild), 2);
  Stop(1, /*grace_seconds=*/0.2);
  const v1::RankExited exited = AwaitExit();
  EXPECT_EQ(exited.signal(), SIGKILL);
  EXPECT_TRUE(exited.stopped());
  EXPECT_EQ(kill(trainer, 0), -1);
  EXPECT_EQ(kill(grandchild, 0), -1);
}

TEST_F(AgentTest, RelaysTheRendezvousStoreBothWays) {
  Start(Order("store"));
  const v1::KvRequest question = AwaitReport(v1::TrainerReport::kKv).kv();
  EXPECT_EQ(question.operation(), v1::KvRequest::GET);
  EXPECT_THAT(question.keys(), ElementsAre("greeting"));
  v1::TrainerCommand answer;
  answer.mutable_kv()->set_request_id(question.request_id());
  answer.mutable_kv()->set_value("hello");
  Command(answer);
  AwaitLog("store says hello");
}

TEST_F(AgentTest, KeepsCommandsUntilTheTrainerConnects) {
  v1::TrainerCommand masks;
  masks.mutable_mask_block()->set_first_step(1024);
  Start(Order("masks"));
  Command(masks);
  AwaitLog("masks from step 1024");
}

TEST_F(AgentTest, RefusesATokenThatNoTrainerHas) {
  auto link = grpc::CreateChannel("unix:" + folder_ / "work/run/agent.sock",
                                  grpc::InsecureChannelCredentials());
  auto stub = v1::TrainerLinkService::NewStub(link);
  grpc::ClientContext context;
  auto stream = stub->Connect(&context);
  v1::ConnectRequest hello;
  hello.mutable_hello()->set_token("guessed");
  stream->Write(hello);
  v1::ConnectResponse response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(AgentTest, TellsLiveRanksAfterAReconnect) {
  Start(Order("wait", /*attempt=*/4, /*slot=*/1));
  AwaitReport(v1::TrainerReport::kReady);
  server_.EndStream();
  ASSERT_TRUE(server_.AwaitHellos(2));
  const v1::WorkerHello hello = server_.Hellos()[1];
  ASSERT_EQ(hello.ranks_size(), 1);
  EXPECT_EQ(hello.ranks(0).job_id(), "job");
  EXPECT_EQ(hello.ranks(0).attempt(), 4);
  EXPECT_EQ(hello.ranks(0).slot(), 1);
  EXPECT_EQ(hello.slots(1).job_id(), "job");
  EXPECT_EQ(hello.incarnation(), server_.Hellos()[0].incarnation());
}

TEST_F(AgentTest, StartsARankOnlyOnce) {
  Start(Order("exit"));
  Start(Order("exit"));
  AwaitExit();
  Start(Order("exit"));
  Start(Order("exit", /*attempt=*/2));
  AwaitExit(2);
  EXPECT_EQ(CountExits(), 2);
}

TEST_F(AgentTest, ANewAttemptEndsTheOldOneAndTakesItsSlot) {
  Start(Order("stubborn", /*attempt=*/1));
  AwaitReport(v1::TrainerReport::kReady);
  Start(Order("finish", /*attempt=*/2));
  EXPECT_EQ(AwaitExit(1).signal(), SIGKILL);
  EXPECT_EQ(AwaitExit(2).exit_code(), 0);
}

TEST_F(AgentTest, RefusesAnOlderAttempt) {
  Start(Order("exit", /*attempt=*/3));
  AwaitExit(3);
  Start(Order("exit", /*attempt=*/2));
  Start(Order("exit", /*attempt=*/4));
  AwaitExit(4);
  EXPECT_EQ(CountExits(), 2);
}

TEST_F(AgentTest, SaysNothingAboutTrainersThatAreGone) {
  Start(Order("exit"));
  AwaitExit();
  Stop(1, 1);
  Start(Order("exit", /*attempt=*/2));
  AwaitExit(2);
  EXPECT_EQ(CountExits(), 2);
}

TEST_F(AgentTest, TellsWhyATrainerCouldNotStart) {
  v1::StartRanks order = Order("exit");
  order.mutable_spec()->set_model("huge");
  Start(order);
  EXPECT_EQ(AwaitExit(1).start_error(), "model: found 'huge', this worker has tiny");
  order.set_attempt(2);
  order.mutable_spec()->set_model("../models/tiny");
  Start(order);
  EXPECT_THAT(AwaitExit(2).start_error(), HasSubstr("legal is the name of a model folder"));
  Start(Order("exit", /*attempt=*/3, /*slot=*/7));
  EXPECT_EQ(AwaitExit(3).start_error(), "slot: found 7, this worker has 0 to 1");
}

TEST_F(AgentTest, AnswersAStopForATrainerThatWaitsForItsData) {
  server_.FailNextTransfers(1 << 20, grpc::StatusCode::UNAVAILABLE);
  Start(Order("exit"));
  Stop(1, 5);
  const v1::RankExited exited = AwaitExit();
  EXPECT_THAT(exited.start_error(), HasSubstr("stopped before it started"));
  EXPECT_TRUE(exited.stopped());
}

TEST_F(AgentTest, StopsAllTrainersWhenItIsStopped) {
  Start(Order("wait"));
  AwaitReport(v1::TrainerReport::kReady);
  agent_->Stop();
  const v1::RankExited exited = AwaitExit();
  EXPECT_EQ(exited.exit_code(), 0);
  EXPECT_TRUE(exited.stopped());
}

TEST_F(AgentTest, SaysThatItDrainsBeforeItStopsItsTrainers) {
  Start(Order("wait"));
  AwaitReport(v1::TrainerReport::kReady);
  EXPECT_FALSE(server_.Hellos()[0].has_draining());
  agent_->Stop();
  std::vector<v1::SessionRequest::BodyCase> told;
  for (const v1::SessionRequest& frame : server_.Frames()) {
    if (frame.has_draining() || frame.has_rank_exited()) told.push_back(frame.body_case());
  }
  EXPECT_THAT(told, ElementsAre(v1::SessionRequest::kDraining, v1::SessionRequest::kRankExited));
  const v1::SessionRequest draining =
      server_.AwaitFrame([](const auto& frame) { return frame.has_draining(); });
  EXPECT_EQ(draining.draining().grace_seconds(), 5);
  server_.EndStream();
  ASSERT_TRUE(server_.AwaitHellos(2));
  EXPECT_TRUE(server_.Hellos()[1].has_draining());
}

TEST_F(AgentTest, RefusesAWorkFolderThatIsInUse) {
  const auto second = Agent::Create(options_, BinFolder() + "/dropbp-worker");
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("another dropbp-worker"));
}

TEST_F(AgentTest, WorksInAFolderWhosePathIsTooLongForASocket) {
  agent_.reset();
  options_.work_dir = folder_ / std::string(120, 'w');
  StartAgent();
  Start(Order("finish"));
  EXPECT_EQ(AwaitExit().exit_code(), 0);
}

}  // namespace
}  // namespace dropbp::agent
