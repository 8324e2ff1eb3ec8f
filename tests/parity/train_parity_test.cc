// Training against Hugging Face PEFT: the same batches, initial adapter and settings give the same
// loss curve, on one rank and on two.
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/files.h"
#include "core/base/philox.h"
#include "tests/unit/worker/trainer/collective/run_ranks.h"
#include "worker/data/packing.h"
#include "worker/trainer/model/adapter_files.h"
#include "worker/trainer/train/trainer.h"

namespace dropbp::trainer {
namespace {

constexpr int kSteps = 20;
// fp32 on both sides; sums run in another order, and 20 updates carry that on. Losses are of size 1
// to 10.
constexpr double kLossTolerance = 5e-4;
constexpr double kNormTolerance = 5e-3;  // relative

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

bool RunOracle(const std::string& script, const std::string& arguments) {
  const std::string command =
      absl::StrCat(Environment("DROPBP_ORACLES"), "/bin/python ", Environment("DROPBP_SOURCE_DIR"),
                   "/tests/parity/", script, " ", arguments, " > /dev/null 2>&1");
  return std::system(command.c_str()) == 0;
}

JobSpec Spec() {
  JobSpec spec;
  spec.dropbp.allocation = "quadratic";
  spec.dtype = "fp32";
  spec.dataset.max_length = 32;
  spec.training.steps = kSteps;
  spec.training.global_batch_size = 4;
  spec.training.micro_batch_size = 2;
  spec.training.learning_rate = 2e-4;
  spec.training.warmup_ratio = 0.1;
  spec.training.weight_decay = 0.01;
  spec.training.seed = 3;
  spec.dropbp.drop_rate = 0;
  return spec;
}

// Sequences that count up with a stride of their own: something to learn in 20 steps.
std::vector<data::Sample> CountingSamples() {
  std::vector<data::Sample> samples(24);
  PhiloxStream random(/*key=*/7, 0, 0);
  for (data::Sample& sample : samples) {
    const uint32_t length = 12 + random.Below(21);
    const uint32_t stride = 1 + random.Below(3);
    const uint32_t start = 3 + random.Below(150);
    for (uint32_t i = 0; i < length; ++i) {
      sample.ids.push_back(static_cast<data::TokenId>(start + stride * i));
      sample.supervised.push_back(i >= length / 3);
    }
  }
  return samples;
}

std::string SampleJson(const data::Sample& sample) {
  return absl::StrCat(
      "{\"ids\":[", absl::StrJoin(sample.ids, ","), "],\"supervised\":[",
      absl::StrJoin(sample.supervised, ",",
                    [](std::string* out, bool s) { absl::StrAppend(out, s ? 1 : 0); }),
      "]}");
}

std::string SettingsJson(const JobSpec& spec, const std::vector<data::Sample>& samples) {
  data::Sampler sampler(static_cast<int64_t>(samples.size()), spec.training.global_batch_size,
                        static_cast<uint64_t>(spec.training.seed));
  std::vector<std::string> steps;
  for (int64_t step = 0; step < kSteps; ++step) {
    std::vector<std::string> batch;
    for (int64_t index : sampler.GlobalBatch(step)) batch.push_back(SampleJson(samples[index]));
    steps.push_back(absl::StrCat("[", absl::StrJoin(batch, ","), "]"));
  }
  return absl::StrCat("{\"threads\":1,\"warmup_steps\":2,\"learning_rate\":",
                      spec.training.learning_rate, ",\"weight_decay\":", spec.training.weight_decay,
                      ",\"max_grad_norm\":", spec.training.max_grad_norm,
                      ",\"micro_batch_size\":", spec.training.micro_batch_size, ",\"steps\":[",
                      absl::StrJoin(steps, ","), "]}");
}

struct Curve {
  std::vector<double> losses, norms, learning_rates;
};

// Empty if the oracle failed.
Curve PeftCurve(const std::string& model_dir, const std::string& work_dir) {
  std::filesystem::remove_all(work_dir);
  Curve curve;
  if (!RunOracle("train_oracle.py", absl::StrCat("adapter ", model_dir, " ", work_dir, "/adapter")))
    return curve;
  if (!WriteFileAtomically(work_dir + "/settings.json", SettingsJson(Spec(), CountingSamples()))
           .ok())
    return curve;
  if (!RunOracle("train_oracle.py", absl::StrCat("train ", model_dir, " ", work_dir))) return curve;
  std::ifstream file(work_dir + "/curve.txt");
  double loss, norm, learning_rate;
  while (file >> loss >> norm >> learning_rate) {
    curve.losses.push_back(loss);
    curve.norms.push_back(norm);
    curve.learning_rates.push_back(learning_rate);
  }
  return curve;
}

std::vector<StepReport> OurCurve(const std::string& model_dir, const std::string& adapter_dir,
                                 int world_size) {
  JobSpec spec = Spec();
  spec.resources.ranks = world_size;
  spec.lora = ReadAdapterConfig(adapter_dir).value().lora;
  data::TokenizedDataset dataset;
  dataset.samples = CountingSamples();
  data::MakeRows(spec.dataset, dataset);
  std::vector<StepReport> reports;
  RunRanks(
      world_size,
      [&](int rank, ProcessGroup* group) {
        at::set_num_threads(1);
        MemoryLink link(AssignmentOf(rank, world_size, spec), nullptr);
        auto model =
            Decoder::Load(model_dir, {.dtype = "fp32", .method = "lora", .lora = spec.lora});
        ASSERT_TRUE(model.ok()) << model.status();
        const absl::Status loaded = LoadAdapter(adapter_dir, **model);
        ASSERT_TRUE(loaded.ok()) << loaded;
        auto trainer = Trainer::Make(&link, model->get(), dataset, group);
        ASSERT_TRUE(trainer.ok()) << trainer.status();
        const absl::Status status = (*trainer)->Run();
        ASSERT_TRUE(status.ok()) << status;
        if (rank == 0) reports = link.steps;
      },
      absl::Minutes(10));
  return reports;
}

void ExpectSameCurve(const std::vector<StepReport>& ours, const Curve& theirs) {
  ASSERT_EQ(ours.size(), static_cast<size_t>(kSteps));
  double worst_loss = 0;
  double worst_norm = 0;
  for (int step = 0; step < kSteps; ++step) {
    worst_loss = std::max(worst_loss, std::abs(ours[step].loss - theirs.losses[step]));
    worst_norm = std::max(worst_norm, std::abs(ours[step].grad_norm / theirs.norms[step] - 1));
    EXPECT_NEAR(ours[step].loss, theirs.losses[step], kLossTolerance) << "step " << step;
    EXPECT_NEAR(ours[step].grad_norm, theirs.norms[step], kNormTolerance * theirs.norms[step])
        << "step " << step;
    EXPECT_NEAR(ours[step].learning_rate, theirs.learning_rates[step], 1e-10);
  }
  std::printf("largest difference: loss %.2g, gradient norm %.2g (relative); loss %.4f -> %.4f\n",
              worst_loss, worst_norm, ours.front().loss, ours.back().loss);
}

void CompareWithPeft(const std::string& model_dir, const std::string& work_dir) {
  const Curve theirs = PeftCurve(model_dir, work_dir);
  ASSERT_EQ(theirs.losses.size(), static_cast<size_t>(kSteps)) << "the oracle failed";
  for (int world_size : {1, 2})
    ExpectSameCurve(OurCurve(model_dir, work_dir + "/adapter", world_size), theirs);
}

TEST(TrainParityTest, ASmallModelFollowsPeftsLossCurve) {
  const std::string models = ::testing::TempDir() + "train_parity_models";
  ASSERT_TRUE(RunOracle("model_oracle.py", absl::StrCat("small ", models, " grouped")));
  CompareWithPeft(models + "/grouped", ::testing::TempDir() + "train_parity_small");
}

TEST(TrainParityTest, SmolLm2FollowsPeftsLossCurve) {
  const std::string model_dir = Environment("DROPBP_MODELS") + "/smollm2-135m-instruct";
  if (!std::filesystem::exists(model_dir))
    GTEST_SKIP() << "no model at " << model_dir << "; tools/setup makes it";
  CompareWithPeft(model_dir, ::testing::TempDir() + "train_parity_smollm2");
}

}  // namespace
}  // namespace dropbp::trainer
