#include <google/protobuf/util/json_util.h>
#include <grpcpp/server_builder.h>

#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/files.h"
#include "core/job/job_fields.h"
#include "grpc/health/v1/health.pb.h"
#include "tests/unit/client/commands_fixture.h"

namespace dropbp::client {
namespace {

using ::testing::ContainsRegex;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

template <typename Message>
Message FromJson(const std::string& json) {
  Message message;
  const auto status = google::protobuf::util::JsonStringToMessage(json, &message);
  EXPECT_TRUE(status.ok()) << status.ToString() << json;
  return message;
}

size_t Lines(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }

TEST_F(CommandsTest, SubmitPrintsTheIdAndNothingElseAsData) {
  const CommandResult result = Dropbp(absl::StrCat("submit -f ", (folder() / "job.yaml").string()));
  EXPECT_EQ(result.code, ExitCode::kOk) << result.err;
  ASSERT_THAT(result.out, EndsWith("\n"));
  const std::string id = result.out.substr(0, result.out.size() - 1);
  EXPECT_TRUE(IsLegalJobId(id)) << id;
  EXPECT_THAT(result.err, HasSubstr("next: dropbp watch " + id));
  EXPECT_EQ(Get(id).spec().training().steps(), 10);
}

TEST_F(CommandsTest, SubmitUploadsTheDatasetAndTakesOverrides) {
  EXPECT_EQ(SubmitFile("--name mine --set training.steps=7 --set labels.team=support"), "mine");
  const v1::Job job = Get("mine");
  EXPECT_EQ(job.spec().training().steps(), 7);
  EXPECT_EQ(job.spec().labels().at("team"), "support");
  EXPECT_TRUE(artifacts_->Has(job.spec().dataset().artifact()));
}

TEST_F(CommandsTest, ANameThatIsTakenIsRefused) {
  SubmitFile("--name mine");
  const CommandResult again =
      Dropbp(absl::StrCat("submit --name mine -f ", (folder() / "job.yaml").string()));
  EXPECT_EQ(again.code, ExitCode::kRefused);
  EXPECT_THAT(again.err, HasSubstr("another --name"));
  EXPECT_THAT(again.out, IsEmpty());
}

TEST_F(CommandsTest, DryRunAndValidateCreateNothing) {
  const std::string file = (folder() / "job.yaml").string();
  const CommandResult dry = Dropbp("submit --dry-run -f " + file);
  EXPECT_EQ(dry.code, ExitCode::kOk) << dry.err;
  const auto spec = FromJson<v1::JobSpec>(dry.out);
  EXPECT_EQ(spec.training().learning_rate(), 2e-4) << "defaults are shown";
  const CommandResult valid = Dropbp("validate -f " + file);
  EXPECT_EQ(valid.code, ExitCode::kOk) << valid.err;
  EXPECT_EQ(valid.out, file + ": ok\n");
  EXPECT_THAT(valid.err, Not(HasSubstr("Checked here only")));
  EXPECT_THAT(FromJson<v1::ListJobsResponse>(Dropbp("list --output json").out).jobs(), IsEmpty());
  EXPECT_FALSE(artifacts_->Has(spec.dataset().artifact()));
}

TEST_F(CommandsTest, ListFiltersAndSaysWhenThereAreMore) {
  for (const char* name : {"one", "two", "three"}) {
    SubmitFile(absl::StrCat("--name ", name, " --set labels.name=", name));
  }
  ASSERT_EQ(Dropbp("cancel two").code, ExitCode::kOk);
  const CommandResult all = Dropbp("list");
  EXPECT_EQ(Lines(all.out), 4u) << all.out;
  EXPECT_LT(all.out.find("three"), all.out.find("one")) << "newest first";
  EXPECT_THAT(Dropbp("list --state cancelled").out, HasSubstr("two"));
  EXPECT_THAT(Dropbp("list --state cancelled").out, Not(HasSubstr("one")));
  EXPECT_THAT(Dropbp("list --label name=three").out, HasSubstr("three"));
  const CommandResult newest = Dropbp("list --limit 2");
  EXPECT_EQ(Lines(newest.out), 3u) << newest.out;
  EXPECT_THAT(newest.err, HasSubstr("There are more"));
  EXPECT_EQ(FromJson<v1::ListJobsResponse>(Dropbp("list --output json").out).jobs_size(), 3);
  EXPECT_THAT(Dropbp("list --state failed").err, HasSubstr("No jobs."));
}

TEST_F(CommandsTest, GetShowsTheJobForPeopleAndForPrograms) {
  SubmitAndRun("job", agent_);
  ASSERT_TRUE(agent_.Step(*coordinator_, "job", 1, 0, 0).ok());
  const CommandResult text = Dropbp("get job");
  EXPECT_THAT(text.out, HasSubstr("RUNNING"));
  EXPECT_THAT(text.out, HasSubstr("step 1/10"));
  EXPECT_THAT(text.out, HasSubstr("worker-0"));
  EXPECT_THAT(text.out, HasSubstr("80 samples"));
  const CommandResult json = Dropbp("get job --output json");
  EXPECT_EQ(FromJson<v1::Job>(json.out).progress().step(), 1);
  EXPECT_THAT(json.out, HasSubstr("\"job_id\": \"job\"")) << "proto field names";
}

TEST_F(CommandsTest, TheJobFileOfAJobMakesTheSameJobAgain) {
  const std::string id = SubmitFile("--set training.learning_rate=0.00037");
  const CommandResult printed = Dropbp(absl::StrCat("get ", id, " --job-file"));
  EXPECT_THAT(printed.out, HasSubstr("data.jsonl.\n")) << "the file's name is told";
  const std::string again = (folder() / "again.yaml").string();
  ASSERT_TRUE(WriteFileAtomically(again, printed.out).ok());
  const CommandResult second = Dropbp(absl::StrCat("submit --name second -f ", again));
  ASSERT_EQ(second.code, ExitCode::kOk) << second.err;
  EXPECT_EQ(Get("second").spec().SerializeAsString(), Get(id).spec().SerializeAsString());
}

TEST_F(CommandsTest, GetAndWatchShowOnceWhatADeadTrainerWroteLast) {
  SubmitAndRun("job", agent_);
  for (int attempt = 1; attempt <= 3; ++attempt) {
    for (int rank : {0, 1}) {
      ASSERT_TRUE(agent_.Exited(*coordinator_, "job", attempt, rank, /*signal=*/11).ok());
    }
  }
  const CommandResult get = Dropbp("get job");
  EXPECT_EQ(get.code, ExitCode::kOk) << get.err;
  EXPECT_THAT(get.out, HasSubstr("(max_restarts = 2): Rank 0 was ended by signal 11.\n"));
  EXPECT_THAT(get.out, ContainsRegex("\nlast lines +the last line\n"));
  const CommandResult watch = Dropbp("watch job");
  EXPECT_EQ(std::vector<std::string>(absl::StrSplit(watch.out, "the last line")).size(), 4u)
      << "once for each of the three deaths: " << watch.out;
  EXPECT_THAT(watch.err, Not(HasSubstr("the last line")));
}

TEST_F(CommandsTest, EveryCommandOnAnUnknownJobIsNotFound) {
  for (const char* command :
       {"get", "watch", "logs", "logs --follow", "cancel", "wait", "download", "plan"}) {
    const CommandResult result = Dropbp(absl::StrCat(command, " nobody"));
    EXPECT_EQ(result.code, ExitCode::kNotFound) << command << result.err;
    EXPECT_THAT(result.err, HasSubstr("nobody")) << command;
    EXPECT_THAT(result.err, HasSubstr("next: dropbp list")) << command;
  }
}

TEST_F(CommandsTest, CancelIsIdempotentButNotAfterAnotherEnd) {
  SubmitAndRun("done", agent_);
  for (int rank : {0, 1}) ASSERT_TRUE(agent_.Finished(*coordinator_, "done", 1, rank).ok());
  SubmitFile("--name mine");
  EXPECT_EQ(Dropbp("cancel mine").out, "mine CANCELLED\n");
  EXPECT_EQ(Dropbp("cancel mine").code, ExitCode::kOk);
  const CommandResult late = Dropbp("cancel done");
  EXPECT_EQ(late.code, ExitCode::kRefused);
  EXPECT_THAT(late.err, HasSubstr("next: dropbp get done"));
}

TEST_F(CommandsTest, WaitTellsTheEndByItsExitCode) {
  SubmitAndRun("good", agent_);
  EXPECT_EQ(Dropbp("wait good --timeout 0.2").code, ExitCode::kTimeout);
  for (int rank : {0, 1}) ASSERT_TRUE(agent_.Finished(*coordinator_, "good", 1, rank).ok());
  const CommandResult good = Dropbp("wait good");
  EXPECT_EQ(good.code, ExitCode::kOk) << good.err;
  EXPECT_EQ(good.out, "SUCCEEDED\n");
  SubmitFile("--name gone");
  Dropbp("cancel gone");
  EXPECT_EQ(Dropbp("wait gone").code, ExitCode::kCancelled);
}

TEST_F(CommandsTest, AFailedJobSaysWhyAndWhereToLook) {
  SubmitFile("--name bad");
  ASSERT_TRUE(agent_.Prepared(*coordinator_, "bad", "dataset:3: no supervised token").ok());
  const CommandResult result = Dropbp("watch bad");
  EXPECT_EQ(result.code, ExitCode::kJobFailed);
  EXPECT_THAT(result.out, HasSubstr("FAILED"));
  EXPECT_THAT(result.err, HasSubstr("dataset:3: no supervised token"));
  EXPECT_THAT(result.err, Not(HasSubstr("next:"))) << "no trainer has written anything";
  EXPECT_THAT(Dropbp("logs bad").err,
              HasSubstr("No trainer of job bad has started: it is FAILED."));
  EXPECT_THAT(Dropbp("download bad").err, HasSubstr("next: dropbp get bad"));
}

TEST_F(CommandsTest, AJobWhoseTrainersFailedPointsToTheirLogs) {
  SubmitAndRun("bad", agent_);
  const auto kind = v1::TrainerFailure::USER_ERROR;
  ASSERT_TRUE(agent_.Fail(*coordinator_, "bad", 1, 0, kind, "out of memory").ok());
  EXPECT_THAT(Dropbp("watch bad").err, HasSubstr("next: dropbp logs bad"));
}

TEST_F(CommandsTest, LogsPrintTheLinesOfARank) {
  SubmitAndRun("job", agent_);
  ASSERT_TRUE(logs_.Append({"job", 1, 0}, "a\nb\nc\n").ok());
  ASSERT_TRUE(logs_.Append({"job", 1, 1}, "d\n").ok());
  EXPECT_EQ(Dropbp("logs job --rank 0").out, "a\nb\nc\n");
  EXPECT_EQ(Dropbp("logs job --rank 0 --tail 2").out, "b\nc\n");
  EXPECT_EQ(Dropbp("logs job").out, "rank 0: a\nrank 0: b\nrank 0: c\nrank 1: d\n");
  EXPECT_EQ(FromJson<v1::ReadJobLogsResponse>(Dropbp("logs job --rank 1 --output json").out).text(),
            "d\n");
  const CommandResult beyond = Dropbp("logs job --rank 7");
  EXPECT_EQ(beyond.code, ExitCode::kBadInput);
  EXPECT_THAT(beyond.err, HasSubstr("--rank: found 7, job job has ranks 0 to 1"));
}

TEST_F(CommandsTest, DownloadWritesTheFilesAndDoesNotFetchThemTwice) {
  const std::string content(1 << 20, 'w');
  auto upload =
      artifacts_->NewUpload(Sha256Hex(content), static_cast<int64_t>(content.size())).value();
  ASSERT_TRUE(upload->Write(content).ok());
  ASSERT_TRUE(upload->Commit().ok());
  v1::Artifact artifact;
  artifact.set_name("adapter_model.safetensors");
  artifact.set_sha256(Sha256Hex(content));
  artifact.set_size_bytes(static_cast<int64_t>(content.size()));
  SubmitAndRun("job", agent_);
  EXPECT_EQ(Dropbp("download job").code, ExitCode::kRefused);
  ASSERT_TRUE(agent_.Finished(*coordinator_, "job", 1, 0, {artifact}).ok());
  ASSERT_TRUE(agent_.Finished(*coordinator_, "job", 1, 1).ok());
  const std::string target = (folder() / "result").string();
  const std::string path = target + "/adapter_model.safetensors";
  EXPECT_EQ(Dropbp("download job --to " + target).out, path + "\n");
  EXPECT_TRUE(ReadFile(path, 1 << 30).value() == content);
  const auto written = std::filesystem::last_write_time(path);
  EXPECT_EQ(Dropbp("download job --to " + target).code, ExitCode::kOk);
  EXPECT_EQ(std::filesystem::last_write_time(path), written);
  std::ofstream(path) << "damaged";
  EXPECT_EQ(Dropbp("download job --to " + target).code, ExitCode::kOk);
  EXPECT_TRUE(ReadFile(path, 1 << 30).value() == content);
}

TEST_F(CommandsTest, ADownloadOnlyWritesPlainNames) {
  v1::Artifact artifact;
  artifact.set_name("../outside");
  artifact.set_sha256(UploadDataset());
  artifact.set_size_bytes(1);
  SubmitAndRun("job", agent_);
  ASSERT_TRUE(agent_.Finished(*coordinator_, "job", 1, 0, {artifact}).ok());
  ASSERT_TRUE(agent_.Finished(*coordinator_, "job", 1, 1).ok());
  const CommandResult result = Dropbp("download job --to " + (folder() / "result").string());
  EXPECT_NE(result.code, ExitCode::kOk);
  EXPECT_FALSE(std::filesystem::exists(folder() / "outside"));
}

TEST_F(CommandsTest, PlanShowsEveryUnit) {
  SubmitAndRun("job", agent_);
  const CommandResult result = Dropbp("plan job");
  EXPECT_EQ(result.code, ExitCode::kOk) << result.err;
  EXPECT_THAT(result.out, HasSubstr("attention"));
  EXPECT_THAT(result.out, HasSubstr("mlp"));
  EXPECT_THAT(result.out, HasSubstr("0.500  ###############\n"));
  EXPECT_THAT(result.out, HasSubstr("plan 1 of 2, from step 0"));
  EXPECT_THAT(result.out, HasSubstr("before it")) << "the stage that a probe begins";
  EXPECT_THAT(result.out, HasSubstr("drop rate of mlp by layer, 0 to 1\n\n\n##\n##\n##\n"));
  EXPECT_THAT(result.out, Not(HasSubstr("sensitivity of")));
  EXPECT_EQ(FromJson<v1::DropPlan>(Dropbp("plan job --output json").out).units_size(), 4);
}

TEST_F(CommandsTest, PlanShowsWhatTheProbeFound) {
  SubmitAndRun("job", agent_);
  v1::TrainerReport report;
  report.mutable_probe()->set_step(5);
  report.mutable_probe()->set_seconds(1.5);
  report.mutable_probe()->add_base_norms(1.0);
  for (int unit = 0; unit < 4; ++unit) {
    v1::UnitNorms* norms = report.mutable_probe()->add_units();
    norms->set_unit(unit);
    norms->add_norms(0.5);
  }
  ASSERT_TRUE(agent_.Report(*coordinator_, "job", 1, 0, report).ok());
  const CommandResult result = Dropbp("plan job");
  EXPECT_THAT(result.out, HasSubstr("before step 5, 1.50 s"));
  EXPECT_THAT(result.out, HasSubstr("0.25"));
  EXPECT_THAT(result.out, HasSubstr("sensitivity of attention by layer, 0 to 0.25\n##\n"));
  EXPECT_EQ(FromJson<v1::DropPlan>(Dropbp("plan job --output json").out).probe_step(), 5);
}

TEST_F(CommandsTest, DryPlanShowsWhatAJobWouldCostAndUploadsNothing) {
  const std::string file = (folder() / "job.yaml").string();
  const CommandResult result = Dropbp("plan --dry-run -f " + file);
  EXPECT_EQ(result.code, ExitCode::kOk) << result.err;
  for (const char* text :
       {"speed limit", "traffic", "activations", "peak", "0.500", "steps", "UNITS"})
    EXPECT_THAT(result.out, HasSubstr(text));
  const auto plan =
      FromJson<v1::PlanJobResponse>(Dropbp("plan --dry-run --output json -f " + file).out);
  EXPECT_EQ(plan.plan().units_size(), 4);
  EXPECT_EQ(plan.total_steps(), 10);
  EXPECT_GT(plan.memory().peak_bytes(), 0);
  EXPECT_FALSE(artifacts_->Has(plan.spec().dataset().artifact()));
  EXPECT_THAT(FromJson<v1::ListJobsResponse>(Dropbp("list --output json").out).jobs(), IsEmpty());
}

TEST_F(CommandsTest, DryPlanNeedsNoData) {
  std::filesystem::remove(folder() / "data.jsonl");
  const std::string file = (folder() / "job.yaml").string();
  EXPECT_EQ(Dropbp("plan --dry-run -f " + file).code, ExitCode::kOk);
  EXPECT_EQ(Dropbp("plan --dry-run --dataset nowhere.jsonl -f " + file).code, ExitCode::kNotFound)
      << "a file that is named must be there";
  EXPECT_NE(Dropbp("submit -f " + file).code, ExitCode::kOk);
}

TEST_F(CommandsTest, DryPlanOfAModelThatNoWorkerHasNamesThoseThereAre) {
  const CommandResult result = Dropbp(
      absl::StrCat("plan --dry-run --set model=other -f ", (folder() / "job.yaml").string()));
  EXPECT_EQ(result.code, ExitCode::kNotFound);
  EXPECT_THAT(result.err, HasSubstr("the connected workers have tiny"));
  EXPECT_THAT(result.err, HasSubstr("next: dropbp workers"));
}

TEST_F(CommandsTest, PlanTakesEitherAJobOrAFile) {
  const std::string file = (folder() / "job.yaml").string();
  for (const std::string& words : {std::string(), std::string("--dry-run"), "-f " + file,
                                   "job --dry-run -f " + file, "job -f " + file}) {
    const CommandResult result = Dropbp("plan " + words);
    EXPECT_EQ(result.code, ExitCode::kBadInput) << words;
    EXPECT_THAT(result.err, HasSubstr("either JOB alone, or --dry-run with -f FILE")) << words;
  }
}

TEST_F(CommandsTest, AJobThatIsNotPlannedYetSaysSo) {
  SubmitFile("--name early");
  const CommandResult result = Dropbp("plan early");
  EXPECT_EQ(result.code, ExitCode::kRefused);
  EXPECT_THAT(result.err, HasSubstr("next: dropbp get early"));
}

TEST_F(CommandsTest, HealthSaysThatTheCoordinatorServes) {
  const CommandResult result = Dropbp("health");
  EXPECT_EQ(result.code, ExitCode::kOk) << result.err;
  EXPECT_EQ(result.out, "SERVING\n");
  EXPECT_EQ(
      FromJson<grpc::health::v1::HealthCheckResponse>(Dropbp("health --output json").out).status(),
      grpc::health::v1::HealthCheckResponse::SERVING);
}

// A server between "stop" and its end, as long as the test likes.
TEST(HealthTest, TellsOfACoordinatorThatIsStopping) {
  grpc::EnableDefaultHealthCheckService(true);
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  server->GetHealthCheckService()->SetServingStatus(false);

  CapturedConsole captured;
  const ExitCode code = RunCommandLine(
      {"health", "--coordinator", absl::StrCat("127.0.0.1:", port)}, captured.console());
  EXPECT_EQ(code, ExitCode::kUnreachable);
  EXPECT_THAT(captured.err(), HasSubstr("it says NOT_SERVING"));
  EXPECT_THAT(captured.out(), IsEmpty());
}

TEST_F(CommandsTest, WorkersShowsSlotsAndWhatRunsOnThem) {
  SubmitAndRun("job", agent_);
  const CommandResult result = Dropbp("workers");
  EXPECT_EQ(Lines(result.out), 3u) << "a title and two slots";
  EXPECT_THAT(result.out, HasSubstr("job rank 1"));
  EXPECT_EQ(FromJson<v1::ListWorkersResponse>(Dropbp("workers --output json").out).workers_size(),
            1);
}

TEST_F(CommandsTest, DrainTakesAWorkerOutOfUseAndBack) {
  CommandResult result = Dropbp("drain worker-0");
  EXPECT_EQ(result.code, ExitCode::kOk) << result.err;
  EXPECT_EQ(result.out, "worker-0 drains\n");
  EXPECT_THAT(Dropbp("workers").out, HasSubstr("drains"));
  EXPECT_EQ(Dropbp("drain worker-0 --undo").out, "worker-0 is in use\n");
  EXPECT_TRUE(
      FromJson<v1::Worker>(Dropbp("drain worker-0 --keep-jobs --output json").out).draining());
  result = Dropbp("drain nobody");
  EXPECT_EQ(result.code, ExitCode::kNotFound);
  EXPECT_THAT(result.err, HasSubstr("found 'nobody'"));
  EXPECT_THAT(result.err, HasSubstr("next: dropbp workers"));
  EXPECT_EQ(Dropbp("drain worker-0 --undo --keep-jobs").code, ExitCode::kBadInput);
}

}  // namespace
}  // namespace dropbp::client
