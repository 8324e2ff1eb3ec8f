// The commands about checkpoints: pause, resume, checkpoints, download --checkpoint.
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "core/base/files.h"
#include "core/checkpoint/checkpoint_job.h"
#include "core/checkpoint/job_identity.h"
#include "core/checkpoint/manifest.h"
#include "tests/unit/client/commands_fixture.h"

namespace dropbp::client {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(CommandsTest, PauseAndResumeSayWhatTheyDidAndWhatIsNext) {
  SubmitAndRun("job", agent_);
  const CommandResult paused = Dropbp("pause job");
  EXPECT_EQ(paused.code, ExitCode::kOk) << paused.err;
  EXPECT_EQ(paused.out, "job PAUSING\n");
  EXPECT_THAT(paused.err, HasSubstr("next: dropbp resume job"));
  const CommandResult too_early = Dropbp("resume job");
  EXPECT_EQ(too_early.code, ExitCode::kRefused);
  EXPECT_THAT(too_early.err, HasSubstr("still PAUSING"));
  TrainAndSave(agent_, "job", 1, 0, 4);
  for (const int rank : {0, 1}) ASSERT_TRUE(agent_.Exited(*coordinator_, "job", 1, rank).ok());
  EXPECT_THAT(Dropbp("get job").out, HasSubstr("goes on from the checkpoint after 4 steps"));
  EXPECT_THAT(Dropbp("list --state paused").out, HasSubstr("job"));
  const CommandResult resumed = Dropbp("resume job");
  EXPECT_EQ(resumed.code, ExitCode::kOk) << resumed.err;
  EXPECT_EQ(resumed.out, "job QUEUED\n");
  EXPECT_THAT(Dropbp("get job").out, HasSubstr("after step 4"));
}

TEST_F(CommandsTest, CheckpointsAreListedNewestFirst) {
  SubmitAndRun("job", agent_);
  EXPECT_THAT(Dropbp("checkpoints job").out, IsEmpty());
  EXPECT_THAT(Dropbp("checkpoints job").err, HasSubstr("No checkpoints yet."));
  TrainAndSave(agent_, "job", 1, 0, 2);
  TrainAndSave(agent_, "job", 1, 2, 4);
  const std::string table = Dropbp("checkpoints job").out;
  ASSERT_THAT(table, HasSubstr("STEP"));
  EXPECT_LT(table.find("\n   4"), table.find("\n   2")) << table;
  EXPECT_THAT(Dropbp("checkpoints job --output json").out, HasSubstr("\"world_size\": 2"));
}

TEST_F(CommandsTest, TheBestCheckpointIsMarkedAndFetchedByThatName) {
  SubmitAndRun("job", agent_);
  TrainAndSave(agent_, "job", 1, 0, 2);
  EXPECT_THAT(Dropbp("download job --checkpoint best").err, HasSubstr("found best, job job has 2"));
  v1::TrainerReport report;
  report.mutable_evaluation()->set_step(4);
  report.mutable_evaluation()->set_loss(0.75);
  report.mutable_evaluation()->set_supervised_tokens(10);
  for (int step = 2; step < 4; ++step) {
    for (const int rank : {0, 1})
      ASSERT_TRUE(agent_.Step(*coordinator_, "job", 1, rank, step).ok());
  }
  ASSERT_TRUE(agent_.Report(*coordinator_, "job", 1, 0, report).ok());
  for (const int rank : {0, 1}) HandOver(agent_, "job", 1, rank, 4);
  EXPECT_THAT(Dropbp("checkpoints job").out, HasSubstr("0.7500  best"));
  EXPECT_THAT(Dropbp("get job").out, HasSubstr("loss 0.7500, perplexity 2.117, after step 4"));
  const std::string to = (folder() / "best").string();
  const CommandResult result = Dropbp(absl::StrCat("download job --checkpoint best --to ", to));
  EXPECT_EQ(result.code, ExitCode::kOk) << result.err;
  EXPECT_EQ(ReadManifest(to)->step, 4);
  EXPECT_NE(Dropbp("download job --checkpoint worst").code, ExitCode::kOk);
}

TEST_F(CommandsTest, ADownloadedCheckpointIsAWholeFolder) {
  SubmitAndRun("job", agent_);
  TrainAndSave(agent_, "job", 1, 0, 4);
  const std::string to = (folder() / "saved").string();
  const CommandResult result = Dropbp(absl::StrCat("download job --checkpoint 4 --to ", to));
  EXPECT_EQ(result.code, ExitCode::kOk) << result.err;
  const auto manifest = ReadManifest(to);
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->step, 4);
  EXPECT_TRUE(VerifyParts(to, *manifest).ok());
  const auto job = ReadCheckpointJob(to);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(JobIdentity(*job), manifest->identity);
  EXPECT_EQ(*ReadFile(to + "/job.yaml", 1 << 20), Dropbp("get job --job-file").out);
  EXPECT_EQ(result.out,
            absl::StrCat(to, "/job.yaml\n", to, "/part-00000-of-00002.safetensors\n", to,
                         "/part-00001-of-00002.safetensors\n", to, "/manifest.json\n"));
  const CommandResult none = Dropbp("download job --checkpoint 5");
  EXPECT_EQ(none.code, ExitCode::kNotFound);
  EXPECT_THAT(none.err, HasSubstr("found 5, job job has 4"));
  EXPECT_THAT(none.err, HasSubstr("next: dropbp checkpoints job"));
}

TEST_F(CommandsTest, CheckpointCommandsOnAnUnknownJobAreNotFound) {
  for (const char* command : {"pause", "resume", "checkpoints", "download --checkpoint 3"}) {
    EXPECT_EQ(Dropbp(absl::StrCat(command, " nobody")).code, ExitCode::kNotFound) << command;
  }
}

}  // namespace
}  // namespace dropbp::client
