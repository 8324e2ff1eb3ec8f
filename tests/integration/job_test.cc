// A whole job, and what its record says afterwards.
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "core/base/files.h"
#include "core/job/job_state.h"
#include "proto/support/job_spec_proto.h"
#include "tests/integration/cluster_test.h"

namespace dropbp::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class JobTest : public ClusterTest {
 protected:
  void SetUp() override {
    ClusterTest::SetUp();
    if (!IsSkipped()) StartCluster();
  }

  std::string Download(const v1::Artifact& artifact) {
    const std::string path = (cluster().folder() / artifact.name()).string();
    const absl::Status status =
        cluster().client().Download(artifact, path, [](int64_t, int64_t) {});
    EXPECT_TRUE(status.ok()) << status;
    return cluster().FileContent(artifact.name());
  }
};

// The names of the tensors in a safetensors file.
std::set<std::string> TensorNames(const std::string& file) {
  uint64_t size = 0;
  std::memcpy(&size, file.data(), sizeof(size));
  const auto header = nlohmann::json::parse(file.substr(sizeof(size), size));
  std::set<std::string> names;
  for (const auto& [name, tensor] : header.items()) names.insert(name);
  return names;
}

TEST_F(JobTest, EndsWithAnAdapterThatCanBeDownloaded) {
  const v1::Job job = RunUndisturbed(TinyJob());
  std::map<std::string, std::string> files;
  for (const v1::Artifact& artifact : job.artifacts()) files[artifact.name()] = Download(artifact);
  ASSERT_TRUE(files.contains("adapter_config.json") && files.contains("adapter_model.safetensors"));
  const auto config = nlohmann::json::parse(files["adapter_config.json"]);
  EXPECT_EQ(config["peft_type"], "LORA");
  EXPECT_EQ(config["r"], 4);
  const std::set<std::string> names = TensorNames(files["adapter_model.safetensors"]);
  for (const char* side : {"lora_A", "lora_B"}) {
    EXPECT_THAT(names, Contains(std::string("base_model.model.model.layers.3.self_attn.q_proj.") +
                                side + ".weight"));
  }
}

TEST_F(JobTest, ProgressAndReportAreConsistentAtTheEnd) {
  JobSpec spec = TinyJob();
  spec.dropbp.masks = "single";  // one row a step, so that what it drops sends nothing
  const v1::Job job = RunUndisturbed(spec);
  const v1::JobProgress& progress = job.progress();
  EXPECT_EQ(progress.step(), 20);
  EXPECT_EQ(progress.total_steps(), 20);
  // Steps 0 and 1 follow the uniform plan, which keeps exactly half; the others the plan of the
  // probe.
  const double realised = (2 * 0.5 + 18 * job.plan().planned_drop_rate()) / 20;
  EXPECT_NEAR(progress.realised_drop_rate(), realised, 1e-3);
  const double flops = progress.backward_flops_saved() + progress.backward_flops_done();
  EXPECT_NEAR(progress.backward_flops_saved() / flops, progress.realised_drop_rate(), 1e-9);
  EXPECT_LT(progress.gradient_bytes_sent(), progress.gradient_bytes_dense());
  EXPECT_GT(progress.loss(), 0);
  EXPECT_GT(progress.tokens_per_second(), 0);
  EXPECT_EQ(job.dataset_report().samples(), 64);
  EXPECT_LT(job.dataset_report().supervised_tokens(), job.dataset_report().tokens());
  EXPECT_EQ(job.attempt(), 1);
  EXPECT_EQ(job.restarts(), 0);
  EXPECT_EQ(job.plan().version(), 2) << "the sensitivity probe ran";
  EXPECT_EQ(job.plan().first_step(), 2);
  for (const v1::UnitPlan& unit : job.plan().units()) EXPECT_GT(unit.sensitivity(), 0);
}

TEST_F(JobTest, PackedSamplesMakeTheStepsOfTheirRows) {
  JobSpec spec = TinyJob();
  spec.dataset.max_length = 256;
  spec.dataset.packing = true;
  spec.training.group_by_length = true;
  spec.training.steps = 0;
  spec.training.epochs = 3;
  spec.training.global_batch_size = 4;
  const v1::Job job = RunUndisturbed(spec);
  const int64_t rows = job.dataset_report().rows();
  EXPECT_GE(rows, 4);
  EXPECT_LT(rows, 32);
  EXPECT_EQ(job.progress().total_steps(), (3 * rows + 3) / 4);
  EXPECT_EQ(job.progress().step(), job.progress().total_steps());
}

TEST_F(JobTest, AMixOfFilesReachesTheTrainers) {
  const std::string content = TinyDataset(20);
  v1::Artifact more;
  more.set_name("more.jsonl");
  more.set_sha256(Sha256Hex(content));
  more.set_size_bytes(static_cast<int64_t>(content.size()));
  const std::string path = (cluster().folder() / "more.jsonl").string();
  std::ofstream(path) << content;
  ASSERT_TRUE(cluster().client().Upload(path, more, [](int64_t, int64_t) {}).ok());
  JobSpec spec = TinyJob();
  spec.dataset.mix = {{more.sha256(), 2.5}};
  spec.training.steps = 0;
  const v1::Job job = RunUndisturbed(spec);
  EXPECT_EQ(job.dataset_report().samples(), 64 + 50);
  EXPECT_EQ(job.progress().step(), 15) << "114 samples, 8 a step";
}

TEST_F(JobTest, EventsTellTheWayInLegalMoves) {
  const v1::Job job = RunUndisturbed(TinyJob());
  ASSERT_OK_AND_ASSIGN(const std::vector<v1::JobEvent> events, cluster().Events(job.job_id()));
  std::vector<std::string> states;
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].sequence(), static_cast<int64_t>(i) + 1);
    const std::string state = v1::Job::State_Name(events[i].state());
    if (states.empty() || states.back() != state) states.push_back(state);
  }
  EXPECT_THAT(states, ElementsAre("QUEUED", "PREPARING", "STARTING", "RUNNING", "SUCCEEDED"));
  EXPECT_EQ(events.front().type(), v1::JobEvent::CREATED);
  EXPECT_EQ(events.back().progress().step(), 20);
  EXPECT_EQ(job.last_event(), static_cast<int64_t>(events.size()));
}

TEST_F(JobTest, TheSameJobTwiceGivesTheSameAdapterBitForBit) {
  const std::string first = AdapterHash(RunUndisturbed(TinyJob()));
  EXPECT_EQ(first, AdapterHash(RunUndisturbed(TinyJob())));
  JobSpec other = TinyJob();
  other.training.seed = 7;
  EXPECT_NE(first, AdapterHash(RunUndisturbed(other)));
}

// A learning rate of 0 leaves everything as it began.
TEST_F(JobTest, AJobBeginsFromTheResultOfAnEarlierOne) {
  const v1::Job first = RunUndisturbed(TinyJob());
  JobSpec second = TinyJob();
  second.training.steps = 1;
  second.training.learning_rate = 0;
  EXPECT_NE(AdapterHash(RunUndisturbed(second)), AdapterHash(first));
  second.init_from = first.job_id();
  EXPECT_EQ(AdapterHash(RunUndisturbed(second)), AdapterHash(first));
  second.method = "qlora";
  EXPECT_EQ(AdapterHash(RunUndisturbed(second)), AdapterHash(first)) << "an adapter is an adapter";
  second.lora.rank = 8;
  EXPECT_THAT(std::string(cluster().Submit(second, data_).status().message()),
              HasSubstr("lora.rank: found 8, legal is 4 as in job '" + first.job_id()));
}

TEST_F(JobTest, OneRequestIdIsOneJob) {
  ASSERT_OK_AND_ASSIGN(const std::string first, cluster().Submit(TinyJob(), data_));
  ASSERT_OK_AND_ASSIGN(const v1::Job job, cluster().client().GetJob(first));
  v1::CreateJobRequest request;
  request.set_request_id("once");
  *request.mutable_spec() = job.spec();
  ASSERT_OK_AND_ASSIGN(const v1::Job one, cluster().client().CreateJob(request));
  ASSERT_OK_AND_ASSIGN(const v1::Job two, cluster().client().CreateJob(request));
  EXPECT_EQ(one.job_id(), two.job_id());
  ASSERT_OK_AND_ASSIGN(const v1::ListJobsResponse all, cluster().client().ListJobs({}));
  EXPECT_EQ(all.jobs_size(), 2);
  request.mutable_spec()->set_priority(5);
  EXPECT_TRUE(absl::IsAlreadyExists(cluster().client().CreateJob(request).status()));
  for (const v1::Job& each : all.jobs()) ASSERT_OK(cluster().WaitForEnd(each.job_id()).status());
}

TEST_F(JobTest, ALargerGangWaitsForBothSlotsAndSaysWhy) {
  JobSpec large = TinyJob();
  large.resources.ranks = 4;
  ASSERT_OK_AND_ASSIGN(const std::string id, cluster().Submit(large, data_));
  ASSERT_OK(cluster().WaitForState(id, v1::Job::PREPARING).status());
  ASSERT_OK_AND_ASSIGN(const std::string small, cluster().Submit(TinyJob(), data_));
  // A job that the pool can never hold keeps nobody waiting.
  ASSERT_OK(cluster().WaitForEnd(small).status());
  ASSERT_OK_AND_ASSIGN(const v1::Job waiting, cluster().client().GetJob(id));
  EXPECT_EQ(waiting.state(), v1::Job::QUEUED);
  EXPECT_THAT(waiting.state_message(), HasSubstr("4"));
  ASSERT_OK(cluster().client().CancelJob(id).status());
}

TEST_F(JobTest, CancelStopsAllProcessesWithinSeconds) {
  JobSpec spec = TinyJob();
  spec.training.steps = 100000;
  ASSERT_OK_AND_ASSIGN(const std::string id, cluster().Submit(spec, data_));
  ASSERT_OK(cluster().WaitForStep(id, 5).status());
  EXPECT_EQ(cluster().Trainers().size(), 2u);
  ASSERT_OK(cluster().client().CancelJob(id).status());
  ASSERT_OK(cluster().WaitForNoTrainers(absl::Seconds(5)));
  ASSERT_OK_AND_ASSIGN(const v1::Job job, cluster().WaitForEnd(id, absl::Seconds(5)));
  EXPECT_EQ(job.state(), v1::Job::CANCELLED);
}

}  // namespace
}  // namespace dropbp::testing
