// What an agent does with checkpoints: hands parts over, keeps them, and gives them to the next
// attempt.
#include <filesystem>

#include "core/base/files.h"
#include "tests/unit/worker/agent/agent_fixture.h"

namespace dropbp::agent {
namespace {

using ::testing::HasSubstr;

class AgentCheckpointTest : public AgentTest {
 protected:
  v1::TrainerCheckpoint AwaitPart(int64_t step) {
    return server_
        .AwaitFrame([&](const v1::SessionRequest& frame) {
          return frame.has_rank_checkpoint() && frame.rank_checkpoint().checkpoint().step() == step;
        })
        .rank_checkpoint()
        .checkpoint();
  }

  std::string KeptPart(int64_t step) const {
    return folder_ / ("work/checkpoints/job/step-" + std::to_string(step) +
                      "/part-00000-of-00001.safetensors");
  }

  // An order that goes on from a checkpoint of one part.
  v1::StartRanks GoOn(int attempt, const std::string& part_sha256) {
    v1::StartRanks order = Order("go on", attempt);
    v1::Checkpoint& checkpoint = *order.mutable_checkpoint();
    checkpoint.set_step(5);
    checkpoint.mutable_manifest()->set_sha256(server_.AddArtifact("the manifest"));
    checkpoint.add_parts()->set_sha256(part_sha256);
    return order;
  }
};

TEST_F(AgentCheckpointTest, HandsAPartOverWhileTheTrainerGoesOn) {
  Start(Order("save"));
  const v1::TrainerCheckpoint part = AwaitPart(5);
  EXPECT_EQ(part.error(), "");
  EXPECT_EQ(part.progress().tokens(), 7);
  EXPECT_EQ(part.artifact().name(), "part-00000-of-00001.safetensors");
  EXPECT_EQ(server_.Artifact(part.artifact().sha256()), "the part after 5 steps");
  EXPECT_EQ(CountExits(), 0);
  EXPECT_EQ(ReadText(KeptPart(5)), "the part after 5 steps");
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "work/jobs/job/attempt-1/rank-0/checkpoints"));
  Stop(1, 20);
  AwaitExit();
}

TEST_F(AgentCheckpointTest, AStopThatSavesHandsOverThePartBeforeTheExit) {
  Start(Order("save"));
  AwaitPart(5);
  server_.FailNextTransfers(2, grpc::StatusCode::UNAVAILABLE);
  Stop(1, 20, /*save_checkpoint=*/true);
  const v1::RankExited exited = AwaitExit();
  EXPECT_EQ(exited.exit_code(), 0);
  EXPECT_TRUE(exited.stopped());
  EXPECT_EQ(AwaitPart(9).error(), "");
  EXPECT_TRUE(server_.Frames().back().has_rank_exited());
}

TEST_F(AgentCheckpointTest, AnAgentThatIsStoppedSavesItsJobs) {
  Start(Order("save"));
  AwaitPart(5);
  agent_->Stop();
  EXPECT_EQ(AwaitPart(9).error(), "");
}

TEST_F(AgentCheckpointTest, AStopThatSavesNothingWaitsForNoUpload) {
  Start(Order("exit"));  // brings the data here, so that only uploads can fail
  AwaitExit();
  server_.FailNextTransfers(1 << 20, grpc::StatusCode::UNAVAILABLE);
  Start(Order("save", /*attempt=*/2));
  AwaitReport(v1::TrainerReport::kReady);
  Stop(2, /*grace_seconds=*/20);
  AwaitExit(2);
  EXPECT_THAT(AwaitPart(5).error(), HasSubstr("stopped"));
}

TEST_F(AgentCheckpointTest, AnUploadThatTakesTooLongEndsWithTheGrace) {
  Start(Order("save"));
  AwaitPart(5);
  server_.FailNextTransfers(1 << 20, grpc::StatusCode::UNAVAILABLE);
  Stop(1, /*grace_seconds=*/0.5, /*save_checkpoint=*/true);
  EXPECT_TRUE(AwaitExit().stopped());
  EXPECT_THAT(AwaitPart(9).error(), HasSubstr("stopped"));
}

TEST_F(AgentCheckpointTest, GivesTheNextAttemptWhatIsHereAndFetchesTheRest) {
  Start(Order("save"));
  const std::string kept = AwaitPart(5).artifact().sha256();
  Stop(1, 20);
  AwaitExit();
  const int before = server_.Downloads();
  Start(GoOn(2, kept));
  AwaitExit(2);
  AwaitLog("manifest.json holds the manifest");
  AwaitLog("part-00000-of-00001.safetensors holds the part after 5 steps");
  EXPECT_EQ(server_.Downloads(), before + 1) << "the manifest alone";
}

TEST_F(AgentCheckpointTest, FetchesACheckpointThatWasMadeElsewhere) {
  Start(GoOn(2, server_.AddArtifact("made elsewhere")));
  AwaitExit(2);
  AwaitLog("part-00000-of-00001.safetensors holds made elsewhere");
}

TEST_F(AgentCheckpointTest, GivesTheResultOfAnEarlierJobToANewOne) {
  v1::StartRanks order = Order("go on");
  v1::Artifact& file = *order.add_init_files();
  file.set_name("adapter_model.safetensors");
  file.set_sha256(server_.AddArtifact("an adapter"));
  Start(order);
  AwaitExit();
  AwaitLog("adapter_model.safetensors holds an adapter");
}

TEST_F(AgentCheckpointTest, TellsThatACheckpointCannotBeHad) {
  Start(GoOn(1, Sha256Hex("nowhere")));
  EXPECT_THAT(AwaitExit().start_error(), HasSubstr(Sha256Hex("nowhere")));
}

TEST_F(AgentCheckpointTest, ForgetsAJobThatHasItsResult) {
  WriteText(KeptPart(5), "of an earlier attempt");
  Start(Order("finish", /*attempt=*/2));
  AwaitExit(2);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "work/checkpoints/job"));
}

}  // namespace
}  // namespace dropbp::agent
