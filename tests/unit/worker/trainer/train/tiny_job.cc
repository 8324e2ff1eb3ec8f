#include "tests/unit/worker/trainer/train/tiny_job.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/base/fnv.h"
#include "core/base/philox.h"
#include "tests/unit/worker/trainer/collective/run_ranks.h"
#include "worker/data/packing.h"
#include "worker/trainer/model/adapter_config.h"

namespace dropbp::trainer {

hf::ModelConfig TinyConfig() {
  hf::ModelConfig config;
  config.shape = {.model_type = "llama",
                  .layers = kTinyUnits / 2,
                  .hidden_size = 32,
                  .intermediate_size = 64,
                  .attention_heads = 4,
                  .key_value_heads = 2,
                  .head_dim = 8,
                  .vocab_size = 50,
                  .tied_embeddings = true};
  config.max_position_embeddings = 64;
  return config;
}

hf::ModelConfig TinyGemmaConfig() {
  hf::ModelConfig config = TinyConfig();
  config.shape.post_norms = true;
  config.shape.query_key_norms = true;
  config.shape.windows = {4, 0, 4};
  config.unit_offset_norms = true;
  config.scaled_embeddings = true;
  config.activation = hf::Activation::kGeluTanh;
  config.attention_scale = 0.3;
  config.attention_softcap = 5;
  config.logit_softcap = 6;
  config.ropes = {{.theta = 1e6}, {.theta = 1e4}};
  config.rope_of_layer = {1, 0, 1};
  return config;
}

JobSpec TinySpec() {
  JobSpec spec;
  spec.dtype = "fp32";
  spec.dataset.max_length = 16;
  spec.lora.rank = 4;
  spec.training.steps = kTinySteps;
  spec.training.global_batch_size = 8;
  spec.training.micro_batch_size = 2;
  spec.training.learning_rate = 1e-2;
  spec.training.schedule = "constant";
  spec.training.warmup_ratio = 0;
  spec.training.seed = 11;
  spec.dropbp.drop_rate = 0;
  spec.dropbp.allocation = "uniform";
  return spec;
}

std::vector<data::Sample> TinySamples(int count) {
  std::vector<data::Sample> samples(count);
  PhiloxStream random(/*key=*/99, 0, 0);
  for (data::Sample& sample : samples) {
    const size_t length = 5 + random.Below(8);
    for (size_t i = 0; i < length; ++i) {
      sample.ids.push_back(static_cast<data::TokenId>(random.Below(50)));
      sample.supervised.push_back(i >= length / 2);
    }
  }
  return samples;
}

data::TokenizedDataset TinyDataset(const JobSpec& spec, std::vector<data::Sample> samples) {
  data::TokenizedDataset dataset;
  dataset.samples = std::move(samples);
  data::MakeRows(spec.dataset, dataset);
  return dataset;
}

std::unique_ptr<Decoder> TinyModel(const JobSpec& spec, const hf::ModelConfig& config) {
  auto model = Decoder::Random(config, OptionsFor(spec, "cpu"));
  if (!model.ok()) ADD_FAILURE() << model.status();
  at::NoGradGuard no_grad;
  uint64_t key = 0;
  for (const TrainableParameter& parameter : (*model)->trainable()) {
    PhiloxStream random(++key, 0, 0);
    at::Tensor noise = at::empty(parameter.value.sizes());
    for (int64_t i = 0; i < noise.numel(); ++i) {
      noise.data_ptr<float>()[i] = (random.Uniform() - 0.5f) * 0.1f;
    }
    at::Tensor(parameter.value).add_(noise);
  }
  return *std::move(model);
}

uint64_t WeightHash(const Decoder& model) {
  Fnv1a64 hash;
  for (const TrainableParameter& parameter : model.trainable()) {
    const at::Tensor value = parameter.value.detach().contiguous();
    hash.Bytes({static_cast<const char*>(value.const_data_ptr()), value.nbytes()});
  }
  return hash.hash();
}

std::vector<at::Tensor> CopyWeights(const Decoder& model) {
  std::vector<at::Tensor> weights;
  for (const TrainableParameter& parameter : model.trainable()) {
    weights.push_back(parameter.value.detach().clone());
  }
  return weights;
}

double MaxDifference(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, (a[i] - b[i]).abs().max().item<double>());
  }
  return largest;
}

namespace {

absl::Status RunSteps(TinyRank& rank, ProcessGroup* group,
                      const std::function<void(TinyRank&, ProcessGroup*)>& before_step) {
  RETURN_IF_ERROR(rank.trainer->Begin());
  while (!rank.trainer->done()) {
    if (before_step) before_step(rank, group);
    const absl::Status status = rank.trainer->RunOnce();
    // A run may end with a step.
    if (rank.link->steps.size() > rank.weight_hashes.size())
      rank.weight_hashes.push_back(WeightHash(*rank.model));
    RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<TinyRank> TrainTiny(JobSpec spec, int world_size,
                                const std::function<void(TinyRank&, ProcessGroup*)>& before_step,
                                std::vector<absl::Status>* statuses,
                                const std::function<void(Assignment&)>& edit,
                                const TinyData& data) {
  spec.resources.ranks = world_size;
  const data::TokenizedDataset dataset = TinyDataset(spec, data.samples);
  std::vector<TinyRank> ranks(world_size);
  std::vector<absl::Status> ends(world_size);
  RunRanks(world_size, [&](int r, ProcessGroup* group) {
    at::set_num_threads(1);
    TinyRank& rank = ranks[r];
    Assignment assignment = AssignmentOf(r, world_size, spec);
    if (edit) edit(assignment);
    rank.link = std::make_unique<TinyLink>(assignment, nullptr);
    rank.model = TinyModel(spec);
    auto trainer =
        Trainer::Make(rank.link.get(), rank.model.get(), dataset, group, data.evaluation_set);
    ASSERT_TRUE(trainer.ok()) << trainer.status();
    rank.trainer = *std::move(trainer);
    ends[r] = RunSteps(rank, group, before_step);
    if (statuses == nullptr) {
      EXPECT_TRUE(ends[r].ok()) << ends[r];
    }
  });
  if (statuses != nullptr) *statuses = ends;
  return ranks;
}

}  // namespace dropbp::trainer
