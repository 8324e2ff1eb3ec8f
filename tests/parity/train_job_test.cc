// A whole job on the real model, from a data file to an adapter that loads, on two ranks and twice:
// the same bytes.
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "core/base/files.h"
#include "tests/unit/worker/trainer/collective/run_ranks.h"
#include "worker/trainer/model/adapter_files.h"
#include "worker/trainer/train/run_job.h"

namespace dropbp::trainer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class TrainJobTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* models = std::getenv("DROPBP_MODELS");
    model_dir_ = absl::StrCat(models != nullptr ? models : "", "/smollm2-135m-instruct");
    if (!std::filesystem::exists(model_dir_))
      GTEST_SKIP() << "no model at " << model_dir_ << "; tools/setup makes it";
    if (at::get_num_interop_threads() != 1) at::set_num_interop_threads(1);
    data_path_ = ::testing::TempDir() + "train_job.jsonl";
    std::string lines;
    for (int i = 0; i < 12; ++i) {
      absl::StrAppend(&lines, R"({"messages":[{"role":"user","content":"What follows )", i,
                      R"(?"},{"role":"assistant","content":")", i + 1, "\"}]}\n");
    }
    ASSERT_TRUE(WriteFileAtomically(data_path_, lines).ok());
  }

  Assignment MakeAssignment(int rank, const std::string& output_dir) const {
    Assignment assignment = AssignmentOf(rank, 2, JobSpec());
    assignment.model_dir = model_dir_;
    assignment.dataset_path = data_path_;
    assignment.output_dir = output_dir;
    JobSpec& spec = assignment.spec;
    spec.model = "smollm2-135m-instruct";
    spec.resources.ranks = 2;
    spec.dataset.max_length = 64;
    spec.lora.rank = 4;
    spec.lora.dropout = 0.05;
    spec.training.steps = 3;
    spec.training.global_batch_size = 4;
    spec.training.micro_batch_size = 1;
    spec.dropbp.drop_rate = 0.75;
    spec.dropbp.allocation = "uniform";
    return assignment;
  }

  // Trains into a fresh folder; the links of both ranks.
  std::vector<std::unique_ptr<MemoryLink>> Train(const std::string& output_dir) const {
    std::filesystem::remove_all(output_dir);
    std::filesystem::create_directories(output_dir);
    const auto store = MakeMemoryStore();
    std::vector<std::unique_ptr<MemoryLink>> links;
    std::vector<std::thread> ranks;
    for (int r = 0; r < 2; ++r)
      links.push_back(std::make_unique<MemoryLink>(MakeAssignment(r, output_dir), store));
    for (int r = 0; r < 2; ++r) {
      ranks.emplace_back([&, r] {
        const absl::Status status = RunJob(*links[r]);
        EXPECT_TRUE(status.ok()) << status;
      });
    }
    for (std::thread& rank : ranks) rank.join();
    return links;
  }

  std::string model_dir_;
  std::string data_path_;
};

TEST_F(TrainJobTest, EndsWithAnAdapterThatIsTheSameBytesEveryTime) {
  const std::string first = ::testing::TempDir() + "train_job_first";
  const std::string second = ::testing::TempDir() + "train_job_second";
  const auto links = Train(first);
  EXPECT_THAT(links[0]->finished_files,
              ElementsAre("adapter_config.json", "adapter_model.safetensors"));
  EXPECT_THAT(links[1]->finished_files, IsEmpty());
  for (const auto& link : links) {
    EXPECT_THAT(link->steps, SizeIs(3));
    EXPECT_THAT(link->failures, IsEmpty());
  }
  Train(second);
  EXPECT_EQ(Sha256HexOfFile(first + "/adapter_model.safetensors").value(),
            Sha256HexOfFile(second + "/adapter_model.safetensors").value());

  const auto adapter = ReadAdapterConfig(first);
  ASSERT_TRUE(adapter.ok()) << adapter.status();
  auto model = Decoder::Load(model_dir_, OptionsFor(*adapter));
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_TRUE(LoadAdapter(first, **model).ok());
}

TEST_F(TrainJobTest, AMissingModelOrDataFileIsNamed) {
  Assignment assignment = MakeAssignment(0, ::testing::TempDir());
  assignment.world_size = 1;
  assignment.spec.resources.ranks = 1;
  assignment.dataset_path = "/nowhere/data.jsonl";
  MemoryLink no_data(assignment, nullptr);
  EXPECT_THAT(std::string(RunJob(no_data).message()), HasSubstr("/nowhere/data.jsonl"));
  assignment.dataset_path = data_path_;
  assignment.model_dir = "/nowhere/model";
  MemoryLink no_model(assignment, nullptr);
  EXPECT_THAT(std::string(RunJob(no_model).message()), HasSubstr("/nowhere/model"));
}

}  // namespace
}  // namespace dropbp::trainer
