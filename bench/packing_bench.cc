// What padding costs: tokens per second of training steps on the same data set with one sample a
// row, with samples of similar lengths in a step, and with samples packed into rows. The three take
// turns step by step, each with micro-batches of about as many positions; medians over the rounds.
#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "core/base/philox.h"
#include "worker/data/dataset.h"
#include "worker/data/packing.h"
#include "worker/trainer/model/adapter_config.h"
#include "worker/trainer/model/decoder.h"
#include "worker/trainer/train/batch.h"

namespace dropbp::trainer {
namespace {

struct Flags {
  std::string model;
  std::string data;
  std::string method = "lora";
  std::string dtype = "auto";
  int threads = 1;
  int64_t max_length = 512;
  int64_t samples = 8;  // in an unpacked micro-batch
  int64_t rows = 2;     // in a packed one
  int64_t rounds = 7;
  bool cut = false;
};

struct Variant {
  std::string name;
  JobSpec spec;
  data::TokenizedDataset dataset = {};
  std::vector<double> tokens_per_second = {};
  int64_t tokens = 0;
  int64_t positions = 0;

  double Median() {
    std::sort(tokens_per_second.begin(), tokens_per_second.end());
    return tokens_per_second[tokens_per_second.size() / 2];
  }
};

Variant MakeVariant(const Flags& flags, const std::string& name, bool packing, bool by_length) {
  Variant variant{.name = name, .spec = JobSpec()};
  JobSpec& spec = variant.spec;
  spec.method = flags.method;
  spec.dtype = flags.dtype;
  spec.dataset.max_length = flags.max_length;
  spec.dataset.packing = packing;
  spec.training.group_by_length = by_length;
  spec.training.micro_batch_size = packing ? flags.rows : flags.samples;
  spec.training.global_batch_size = spec.training.micro_batch_size;
  return variant;
}

// Samples of unlike lengths: each is cut to a random one, from 8 tokens on.
void CutSamples(Variant& variant) {
  PhiloxStream random(1, 0, 0);
  for (data::Sample& sample : variant.dataset.samples) {
    const size_t length = sample.ids.size();
    const size_t kept = length < 8 ? length : 8 + random.Below(static_cast<uint32_t>(length - 7));
    sample.ids.resize(kept);
    sample.supervised.resize(kept);
    sample.supervised.back() = true;
  }
  data::MakeRows(variant.spec.dataset, variant.dataset);
}

// Tokens of a sample on average.
double MeanLength(const std::vector<data::Sample>& samples) {
  double tokens = 0;
  for (const data::Sample& sample : samples) tokens += static_cast<double>(sample.ids.size());
  return tokens / static_cast<double>(samples.size());
}

// One step without its update.
void Step(Decoder& model, Variant& variant, int64_t step, bool count) {
  const auto begin = std::chrono::steady_clock::now();
  const StepBatch batch =
      BatchLoader(variant.dataset, variant.spec.training, 0, 1, at::kCPU).Load(step);
  for (const MicroBatch& micro : batch.micro_batches)
    model.LossSum(model.ForwardGroups(micro.tokens(), {}), micro.targets).backward();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  for (const TrainableParameter& parameter : model.trainable())
    at::Tensor(parameter.value).mutable_grad().reset();
  if (!count) return;
  variant.tokens_per_second.push_back(static_cast<double>(batch.tokens) / seconds);
  variant.tokens += batch.tokens;
  for (const MicroBatch& micro : batch.micro_batches) variant.positions += micro.positions();
}

absl::Status Measure(const Flags& flags) {
  at::set_num_threads(flags.threads);
  std::vector<Variant> variants = {MakeVariant(flags, "unpacked", false, false),
                                   MakeVariant(flags, "grouped by length", false, true),
                                   MakeVariant(flags, "packed", true, false)};
  for (Variant& variant : variants) {
    ASSIGN_OR_RETURN(variant.dataset,
                     data::LoadDataset(flags.data, variant.spec.dataset, flags.model));
    if (flags.cut) CutSamples(variant);
  }
  ASSIGN_OR_RETURN(const auto model,
                   Decoder::Load(flags.model, OptionsFor(variants[0].spec, "cpu")));
  for (int64_t round = -1; round < flags.rounds; ++round) {
    for (Variant& variant : variants) Step(*model, variant, round + 1, /*count=*/round >= 0);
  }
  const std::vector<data::Sample>& samples = variants[0].dataset.samples;
  std::printf("%zu samples of %.0f tokens on average\n", samples.size(), MeanLength(samples));
  std::printf("%-20s %10s %12s %10s\n", "rows", "tokens/s", "x unpacked", "padding");
  const double base = variants[0].Median();
  for (Variant& variant : variants) {
    std::printf(
        "%-20s %10.0f %12.2f %9.1f%%\n", variant.name.c_str(), variant.Median(),
        variant.Median() / base,
        100 - 100.0 * static_cast<double>(variant.tokens) / static_cast<double>(variant.positions));
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace dropbp::trainer

int main(int argc, char** argv) {
  dropbp::trainer::Flags flags;
  CLI::App app("Tokens per second with packed and unpacked samples.", "packing_bench");
  app.add_option("--model", flags.model, "Hugging Face model folder")->required();
  app.add_option("--data", flags.data, "Data file")->required();
  app.add_option("--method", flags.method, "lora, qlora or full")->capture_default_str();
  app.add_option("--dtype", flags.dtype, "auto, fp32 or bf16")->capture_default_str();
  app.add_option("--threads", flags.threads)->capture_default_str();
  app.add_option("--max-length", flags.max_length, "Tokens in a packed row")->capture_default_str();
  app.add_option("--samples", flags.samples, "In an unpacked micro-batch")->capture_default_str();
  app.add_option("--rows", flags.rows, "In a packed micro-batch")->capture_default_str();
  app.add_flag("--cut", flags.cut, "Cut each sample to a random length first");
  app.add_option("--rounds", flags.rounds)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = dropbp::trainer::Measure(flags);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return 1;
}
