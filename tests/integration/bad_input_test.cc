// Broken job files, data sets and model folders: each gives one clear error that names the field,
// line or file, no device is taken, and nothing is left behind.
#include <cstring>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/command_line.h"
#include "proto/support/job_spec_proto.h"
#include "tests/integration/cluster_test.h"
#include "tests/support/poll_until.h"

namespace dropbp::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kGoodJob[] =
    "model: tiny\n"
    "dataset:\n  file: data.jsonl\n  max_length: 64\n"
    "training:\n  steps: 4\n  global_batch_size: 8\n  micro_batch_size: 2\n"
    "resources:\n  ranks: 2\n  device: cpu\n";

// A good record, so that the broken one is not in the first line.
constexpr char kGoodLine[] = "{\"prompt\": \"What is it?\", \"completion\": \"A number.\"}\n";

std::string GoodLines(int count) {
  std::string lines;
  for (int i = 0; i < count; ++i) lines += kGoodLine;
  return lines;
}

constexpr int kMostMicroBatch = 4096;

// A record of more than 100,000 tokens.
std::string LongLine() {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += i % 2 == 0 ? "a " : "b ";
  return absl::StrCat("{\"prompt\": \"", text, "\", \"completion\": \"", text, "\"}\n");
}

// One broken thing and what its error must name.
struct BadInput {
  std::string name;
  std::string job = kGoodJob;
  std::string data = GoodLines(8);
  std::vector<std::string> named;
};

BadInput BadJob(std::string name, std::string job, std::vector<std::string> named) {
  return {.name = std::move(name), .job = std::move(job), .named = std::move(named)};
}

std::string Replaced(const char* what, const char* with) {
  return absl::StrReplaceAll(kGoodJob, {{what, with}});
}

BadInput BadData(std::string name, std::string data, std::vector<std::string> named) {
  return {.name = std::move(name), .data = std::move(data), .named = std::move(named)};
}

BadInput BadModel(std::string name, std::vector<std::string> named) {
  return {.name = name,
          .job = Replaced("model: tiny", absl::StrCat("model: ", name).c_str()),
          .named = std::move(named)};
}

// Refused by the client before anything is sent.
std::vector<BadInput> BadJobFiles() {
  return {
      BadJob("not-yaml", "model: [tiny\n", {"job.yaml:"}),
      BadJob("a-list", "- model\n- tiny\n", {"job.yaml:1", "mapping"}),
      BadJob("empty-file", "", {"job.yaml"}),
      BadJob("unknown-field", Replaced("  steps: 4", "  stpes: 4"),
             {"job.yaml:6", "training.stpes", "training.steps"}),
      BadJob("unknown-section", absl::StrCat(kGoodJob, "trainig:\n  steps: 4\n"),
             {"trainig", "training"}),
      BadJob("text-for-a-number", Replaced("steps: 4", "steps: many"),
             {"job.yaml:6", "training.steps", "many"}),
      BadJob("fraction-for-a-count", Replaced("steps: 4", "steps: 4.5"), {"training.steps", "4.5"}),
      BadJob("drop-rate-of-one", absl::StrCat(kGoodJob, "dropbp:\n  drop_rate: 1.0\n"),
             {"dropbp.drop_rate", "1"}),
      BadJob("negative-learning-rate", Replaced("steps: 4", "learning_rate: -1"),
             {"training.learning_rate", "-1"}),
      BadJob("unknown-word", Replaced("steps: 4", "schedule: cosin"),
             {"training.schedule", "cosin", "cosine"}),
      BadJob("no-model", Replaced("model: tiny\n", ""), {"model"}),
      BadJob("model-as-path", Replaced("model: tiny", "model: ../tiny"), {"model", "../tiny"}),
      BadJob("illegal-name", absl::StrCat("name: My Job\n", kGoodJob),
             {"job.yaml:1", "name", "My Job"}),
      BadJob("uneven-batches", Replaced("micro_batch_size: 2", "micro_batch_size: 3"),
             {"training.global_batch_size"}),
      BadJob("field-twice", absl::StrCat(kGoodJob, "model: tiny\n"), {"model", "second time"}),
      BadJob("unknown-module", absl::StrCat(kGoodJob, "lora:\n  target_modules: [q_prj]\n"),
             {"lora.target_modules", "q_prj"}),
      BadJob("missing-data", Replaced("data.jsonl", "nothing.jsonl"), {"nothing.jsonl"}),
      BadJob("patience-without-held-out-samples",
             absl::StrCat(kGoodJob, "evaluation:\n  patience: 3\n"),
             {"evaluation.patience", "3", "dataset.validation_share"}),
      BadJob("missing-validation-file",
             Replaced("data.jsonl", "data.jsonl\n  validation_file: nowhere.jsonl"),
             {"dataset.validation_file", "nowhere.jsonl"}),
      BadData("empty-data", "", {"data.jsonl", "empty"}),
  };
}

// Refused by PREPARING.
std::vector<BadInput> BadDataSets() {
  const std::string good = GoodLines(8);
  return {
      BadData("not-json", good + "{\"prompt\": \n", {"dataset", "9"}),
      BadData("not-an-object", good + "[1, 2]\n", {"dataset", "9"}),
      BadData("not-utf8", good + "{\"prompt\": \"\xff\xfe\", \"completion\": \"b\"}\n",
              {"dataset", "9", "UTF-8"}),
      BadData("broken-parquet", "PAR1 and no more", {"dataset", "cannot be read as Parquet"}),
      BadData("missing-key", good + "{\"prompt\": \"a\"}\n", {"dataset", "9", "completion"}),
      BadData("number-for-text", good + "{\"prompt\": \"a\", \"completion\": 7}\n",
              {"dataset", "9", "completion"}),
      BadData("unknown-format", "{\"question\": \"a\", \"reply\": \"b\"}\n" + good,
              {"dataset", "1"}),
      {.name = "nothing-supervised",
       .job = Replaced("max_length: 64", "max_length: 8"),
       .named = {"dataset", "no token carries loss", "max_length 8", "raise dataset.max_length"}},
      BadData("no-assistant-turn",
              "{\"messages\": [{\"role\": \"user\", \"content\": \"hello\"}]}\n",
              {"dataset", "no token carries loss", "hello"}),
      BadData("wrong-role", "{\"messages\": [{\"role\": \"robot\", \"content\": \"a\"}]}\n",
              {"dataset", "1", "robot"}),
      BadData("deeply-nested", good + std::string(1000, '[') + "\n", {"dataset", "9"}),
      BadData("a-json-array", "[" + absl::StrReplaceAll(good, {{"}\n", "},\n"}}) + "{}]\n",
              {"dataset", "1"}),
      BadData("too-few-samples", GoodLines(3), {"training.global_batch_size", "3"}),
      {.name = "share-of-nothing",
       .job = Replaced("max_length: 64", "max_length: 64\n  validation_share: 0.01"),
       .named = {"dataset.validation_share", "0.01", "0 of 8"}},
      {.name = "refused-length",
       .job = Replaced("max_length: 64", "max_length: 8\n  overlength: refuse"),
       .named = {"dataset", "1", "8"}},
  };
}

// Refused by PREPARING as well; the folders are made by AddBrokenModels.
std::vector<BadInput> BadModels() {
  return {
      BadModel("config-not-json", {"config-not-json/config.json"}),
      BadModel("config-without-layers", {"config-without-layers/config.json", "num_hidden_layers"}),
      BadModel("unknown-architecture", {"config.json", "model_type", "mamba"}),
      BadModel("no-tokenizer", {"tokenizer.json"}),
      BadModel("broken-tokenizer", {"tokenizer.json"}),
      BadModel("no-weights", {"safetensors"}),
      BadModel("short-weights", {"model.safetensors"}),
      BadModel("huge-header", {"model.safetensors", "header"}),
      BadModel("missing-tensor", {"missing-tensor", "lack", "model.layers.3.mlp.up_proj.weight"}),
      BadModel("index-outside", {"model.safetensors.index.json", "../"}),
  };
}

void Write(const fs::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

std::string Read(const fs::path& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

// A copy of the good model.
fs::path Copy(const fs::path& models, const std::string& name) {
  fs::copy(models / "tiny" / "", models / name);
  return models / name;
}

void EditFile(const fs::path& path, const std::string& what, const std::string& with) {
  Write(path, absl::StrReplaceAll(Read(path), {{what, with}}));
}

void AddBrokenModels(const fs::path& models) {
  Write(Copy(models, "config-not-json") / "config.json", "{\"model_type\": ");
  EditFile(Copy(models, "config-without-layers") / "config.json", "num_hidden_layers",
           "number_of_layers");
  EditFile(Copy(models, "unknown-architecture") / "config.json", "\"llama\"", "\"mamba\"");
  fs::remove(Copy(models, "no-tokenizer") / "tokenizer.json");
  Write(Copy(models, "broken-tokenizer") / "tokenizer.json", "{\"model\": {\"type\": \"BPE\"}}");
  fs::remove(Copy(models, "no-weights") / "model.safetensors");
  const fs::path shortened = Copy(models, "short-weights") / "model.safetensors";
  fs::resize_file(shortened, fs::file_size(shortened) / 2);
  const fs::path huge = Copy(models, "huge-header") / "model.safetensors";
  const uint64_t size = uint64_t{1} << 62;
  Write(huge, std::string(reinterpret_cast<const char*>(&size), sizeof(size)) + "{}");
  EditFile(Copy(models, "missing-tensor") / "model.safetensors", "layers.3.mlp.up_proj",
           "layers.3.mlp.xp_proj");
  const fs::path outside = Copy(models, "index-outside");
  fs::remove(outside / "model.safetensors");
  Write(outside / "model.safetensors.index.json",
        "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {\"lm_head.weight\": "
        "\"../tiny/model.safetensors\"}}");
}

struct Said {
  client::ExitCode code;
  std::string err;
};

class BadInputTest : public ClusterTest {
 protected:
  void SetUp() override {
    ClusterTest::SetUp();
    if (!IsSkipped()) StartCluster({.add_models = AddBrokenModels});
  }

  // dropbp submit --follow of one broken thing.
  Said SubmitAndFollow(const BadInput& bad) {
    Write(cluster().folder() / "job.yaml", bad.job);
    Write(cluster().folder() / "data.jsonl", bad.data);
    std::ostringstream out, err;
    const client::ExitCode code = client::RunCommandLine(
        {"submit", "--follow", "-f", (cluster().folder() / "job.yaml").string(), "--coordinator",
         cluster().address()},
        {.out = client::Sink{out}, .err = client::Sink{err}});
    return {code, err.str()};
  }

  void ExpectNothingLeft() {
    ASSERT_OK_AND_ASSIGN(const v1::ListJobsResponse all, cluster().client().ListJobs({}));
    for (const v1::Job& job : all.jobs()) {
      EXPECT_TRUE(client::IsFinal(job.state()))
          << job.job_id() << " is " << v1::Job::State_Name(job.state());
      EXPECT_EQ(job.attempt(), 0) << job.job_id() << " took devices";
    }
    EXPECT_TRUE(cluster().Trainers().empty());
  }
};

TEST_F(BadInputTest, ABadJobFileIsRefusedBeforeAnythingIsSent) {
  for (const BadInput& bad : BadJobFiles()) {
    SCOPED_TRACE(bad.name);
    const Said said = SubmitAndFollow(bad);
    EXPECT_TRUE(said.code == client::ExitCode::kBadInput ||
                said.code == client::ExitCode::kNotFound)
        << said.err;
    for (const std::string& part : bad.named) EXPECT_THAT(said.err, HasSubstr(part));
    EXPECT_THAT(said.err, HasSubstr("next: "));
  }
  ASSERT_OK_AND_ASSIGN(const v1::ListJobsResponse all, cluster().client().ListJobs({}));
  EXPECT_EQ(all.jobs_size(), 0);
}

TEST_F(BadInputTest, ABadDataSetFailsTheJobWithItsLine) {
  for (const BadInput& bad : BadDataSets()) {
    SCOPED_TRACE(bad.name);
    const Said said = SubmitAndFollow(bad);
    EXPECT_EQ(said.code, client::ExitCode::kJobFailed) << said.err;
    for (const std::string& part : bad.named) EXPECT_THAT(said.err, HasSubstr(part));
    EXPECT_THAT(said.err, Not(HasSubstr(cluster().folder().string() + "/work")))
        << "no path of the worker";
  }
  ExpectNothingLeft();
}

TEST_F(BadInputTest, ABadModelFolderFailsTheJobWithItsFile) {
  for (const BadInput& bad : BadModels()) {
    SCOPED_TRACE(bad.name);
    const Said said = SubmitAndFollow(bad);
    EXPECT_EQ(said.code, client::ExitCode::kJobFailed) << said.err;
    for (const std::string& part : bad.named) EXPECT_THAT(said.err, HasSubstr(part));
    EXPECT_THAT(said.err, Not(HasSubstr(cluster().models_dir().string())))
        << "no path of the worker";
  }
  ExpectNothingLeft();
}

TEST_F(BadInputTest, AJobThatNoSlotsHoldFailsBeforeADeviceIsTaken) {
  BadInput large{
      .name = "large", .data = GoodLines(2 * kMostMicroBatch - 1) + LongLine(), .named = {}};
  large.job = absl::StrCat(
      "model: tiny\ndataset:\n  file: data.jsonl\n  max_length: 1000000\n"
      "training:\n  steps: 1\n  global_batch_size: ",
      2 * kMostMicroBatch, "\n  micro_batch_size: ", kMostMicroBatch,
      "\nresources:\n  ranks: 2\n  device: cpu\n");
  const Said said = SubmitAndFollow(large);
  EXPECT_EQ(said.code, client::ExitCode::kJobFailed) << said.err;
  for (const char* part : {"Not enough memory: with samples of ", "hold 0 of 2 such ranks",
                           "shared by 2 cpu slots", "training.micro_batch_size: 1 (",
                           "dataset.max_length: ", "training.activation_checkpointing: true (",
                           "dropbp.drop_rate: 0.75 ("}) {
    EXPECT_THAT(said.err, HasSubstr(part));
  }
  ExpectNothingLeft();
}

TEST_F(BadInputTest, AJobThatNearlyFillsItsSlotsIsWarnedOf) {
  JobSpec spec = TinyJob();
  spec.dropbp = {.drop_rate = 0};
  spec.dataset.max_length = 16384;
  spec.resources.ranks = 3;  // of two slots: it is checked, and waits
  ASSERT_OK_AND_ASSIGN(const v1::ListWorkersResponse workers, cluster().client().ListWorkers());
  const auto slot = static_cast<double>(workers.workers(0).slots(0).memory_bytes());
  const auto peak = [&](int64_t micro_batch) {
    spec.training.micro_batch_size = micro_batch;
    spec.training.global_batch_size = 3 * micro_batch;
    v1::PlanJobRequest request;
    *request.mutable_spec() = JobSpecToProto(spec);
    const auto plan = cluster().client().PlanJob(request);
    EXPECT_TRUE(plan.ok()) << plan.status();
    return plan.ok() ? static_cast<double>(plan->memory().peak_bytes()) : 0.0;
  };
  const double by_sample = (peak(257) - peak(1)) / 256;
  const auto micro_batch = static_cast<int64_t>(1.05 * slot / by_sample);
  ASSERT_LT(peak(micro_batch), 1.2 * slot);
  const std::string data = GoodLines(static_cast<int>(3 * micro_batch)) + LongLine();
  ASSERT_OK_AND_ASSIGN(const std::string id, cluster().Submit(spec, data));
  v1::Job job;
  ASSERT_TRUE(PollUntil(kPatience, [&] {
    job = cluster().client().GetJob(id).value_or(v1::Job());
    return job.state() == v1::Job::QUEUED && job.has_dataset_report();
  }));
  EXPECT_THAT(job.state_message(), HasSubstr("needs 3 cpu slots"));
  EXPECT_THAT(job.state_message(),
              HasSubstr("Memory may be short: with samples of 16384 tokens a rank is estimated"));
  ASSERT_OK(cluster().client().CancelJob(id).status());
  ASSERT_OK_AND_ASSIGN(const std::vector<v1::JobEvent> events, cluster().Events(id));
  EXPECT_THAT(events, ::testing::Contains(::testing::Property(&v1::JobEvent::message,
                                                              HasSubstr("Memory may be short: "))));
}

TEST_F(BadInputTest, AModelThatNoWorkerHasKeepsTheJobWaitingAndSaysSo) {
  JobSpec spec = TinyJob();
  spec.model = "nowhere";
  ASSERT_OK_AND_ASSIGN(const std::string id, cluster().Submit(spec, data_));
  ASSERT_OK_AND_ASSIGN(const v1::Job job, cluster().client().GetJob(id));
  EXPECT_EQ(job.state(), v1::Job::QUEUED);
  EXPECT_THAT(job.state_message(), HasSubstr("nowhere"));
  ASSERT_OK(cluster().client().CancelJob(id).status());
}

}  // namespace
}  // namespace dropbp::testing
