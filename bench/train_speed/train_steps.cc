// Training steps on demand, for bench/train_speed.py: loads or makes a model, prints one JSON line
// about itself, then for each line on stdin runs one optimizer step and prints a JSON line about
// it. The line "memory" counts the step's tensors as well, which costs a little time.
#include <c10/core/CachingDeviceAllocator.h>
#include <torch/torch.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/train_speed/memory_watch.h"
#include "core/plan/drop_plan.h"
#include "core/plan/layer_table.h"
#include "core/plan/mask_plan.h"
#include "worker/trainer/model/adapter_config.h"
#include "worker/trainer/model/decoder.h"
#include "worker/trainer/optim/adamw.h"

namespace dropbp::trainer {
namespace {

struct Flags {
  std::string model;
  std::string shape;
  std::string device = "cpu";
  std::string dtype = "bf16";
  std::string method = "lora";
  int threads = 2;
  int64_t layers = 0;
  int64_t batch = 4;
  int64_t sequence = 256;
  int64_t mask_groups = 0;
  double drop_rate = 0;
  bool activation_checkpointing = false;
  double supervised = 1;  // share of each sequence, at its end
};

hf::ModelConfig KnownShape(const std::string& name, int64_t layers) {
  hf::ModelConfig config;
  config.dtype = "bfloat16";
  config.rms_norm_eps = 1e-5;
  if (name == "llama3-8b") {
    config.ropes[0].theta = 500000;
    config.shape = {"llama", 32, 4096, 14336, 32, 8, 128, 128256, false};
  } else {
    config.ropes[0].theta = 100000;
    config.shape = {"llama", 30, 576, 1536, 9, 3, 64, 49152, true};
  }
  if (layers > 0) config.shape.layers = layers;
  return config;
}

// The same tokens as bench/peft_train.py takes.
at::Tensor BenchIds(const Flags& flags, int64_t vocab) {
  at::Tensor ids = at::empty({flags.batch, flags.sequence}, at::kLong);
  int64_t state = 12345;
  for (int64_t i = 0; i < ids.numel(); ++i) {
    state = (1103515245 * state + 12345) % (int64_t{1} << 31);
    ids.mutable_data_ptr<int64_t>()[i] = state / 8 % vocab;
  }
  return ids;
}

at::Tensor BenchTargets(const Flags& flags, const at::Tensor& ids) {
  at::Tensor targets = at::full_like(ids, -100);
  const int64_t count =
      std::min<int64_t>(flags.sequence - 1, std::lround(flags.supervised * flags.sequence));
  targets.narrow(1, flags.sequence - 1 - count, count)
      .copy_(ids.narrow(1, flags.sequence - count, count));
  return targets;
}

// A job whose optimizer steps are those of the bench: one micro-batch each.
JobSpec BenchSpec(const Flags& flags) {
  JobSpec spec;
  spec.method = flags.method;
  spec.dtype = flags.dtype;
  spec.training.global_batch_size = flags.batch;
  spec.training.micro_batch_size = flags.batch;
  spec.training.activation_checkpointing = flags.activation_checkpointing;
  spec.dropbp.drop_rate = flags.drop_rate;
  spec.dropbp.mask_groups = flags.mask_groups;
  return spec;
}

// Peak resident memory since the last call, or allocated memory of a GPU.
int64_t TakePeakBytes(const at::Device& device) {
  if (!device.is_cpu()) {
    auto* allocator = c10::getDeviceAllocator(device.type());
    const auto stats = allocator->getDeviceStats(device.index());
    allocator->resetPeakStats(device.index());
    return stats.allocated_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)]
        .peak;
  }
  std::ifstream status("/proc/self/status");
  int64_t kilobytes = 0;
  for (std::string word; status >> word;) {
    if (word == "VmHWM:") status >> kilobytes;
  }
  std::ofstream("/proc/self/clear_refs") << "5";
  return kilobytes * 1024;
}

class Bench {
 public:
  Bench(const Flags& flags, std::unique_ptr<Decoder> decoder)
      : flags_(flags),
        decoder_(std::move(decoder)),
        device_(decoder_->trainable().front().value.device()),
        ids_(BenchIds(flags, decoder_->config().shape.vocab_size).to(device_)),
        targets_(BenchTargets(flags, ids_.cpu())),
        supervised_(targets_.ne(-100).sum().item<int64_t>()),
        optimizer_(decoder_->trainable(), TrainingSpec{}) {}

  absl::Status Plan() {
    const JobSpec spec = BenchSpec(flags_);
    ASSIGN_OR_RETURN(const LayerTable table,
                     BuildLayerTable(decoder_->config().shape, spec, flags_.sequence));
    const std::vector<double> rates(table.units.size(), flags_.drop_rate);
    ASSIGN_OR_RETURN(DropPlan plan, MakeDropPlan(table, rates, flags_.drop_rate, 1, 0));
    limit_ = SpeedLimit(table, plan,
                        static_cast<double>(supervised_) / static_cast<double>(ids_.numel()));
    planned_ = plan.planned;
    masks_.emplace(std::move(plan), /*seed=*/1, MaskRows(spec));
    return absl::OkStatus();
  }

  nlohmann::json Describe() const {
    return {{"planned_drop_rate", planned_},
            {"speed_limit", limit_},
            {"mask_groups", masks_->rows()},
            {"tokens", ids_.numel()},
            {"supervised_tokens", supervised_}};
  }

  // Also what forward leaves for backward, and the most that the step held beyond what was there.
  // A step goes before it, so that every tensor that a step replaces was seen when it was made.
  nlohmann::json StepWithMemory() {
    MemoryWatch watch;
    Step();
    watch.Restart();
    nlohmann::json line = Step(&watch);
    line["step_peak_bytes"] = watch.peak_bytes();
    return line;
  }

  nlohmann::json Step(const MemoryWatch* watch = nullptr) {
    TakePeakBytes(device_);
    const auto begin = std::chrono::steady_clock::now();
    at::Tensor hidden =
        decoder_->ForwardGroups(ids_, {.rows = masks_->Draw(step_++), .cotangent_scales = {}});
    const at::Tensor loss =
        decoder_->LossSum(std::exchange(hidden, at::Tensor()), targets_).div(supervised_);
    const double value = loss.item<double>();
    const auto forward = std::chrono::steady_clock::now();
    const int64_t held = watch != nullptr ? watch->held_bytes() : 0;
    loss.backward();
    optimizer_.Step(1e-4);
    optimizer_.ClearGradients();
    if (!device_.is_cpu()) torch::cuda::synchronize();
    const auto end = std::chrono::steady_clock::now();
    return {{"seconds", std::chrono::duration<double>(end - begin).count()},
            {"forward_seconds", std::chrono::duration<double>(forward - begin).count()},
            {"loss", value},
            {"held_bytes", held},
            {"peak_bytes", TakePeakBytes(device_)}};
  }

 private:
  const Flags flags_;
  std::unique_ptr<Decoder> decoder_;
  at::Device device_;
  at::Tensor ids_;
  at::Tensor targets_;
  int64_t supervised_;
  AdamW optimizer_;
  std::optional<MaskPlan> masks_;
  double limit_ = 1;
  double planned_ = 0;
  int64_t step_ = 0;
};

absl::Status Serve(const Flags& flags) {
  at::set_num_threads(flags.threads);
  const DecoderOptions options = OptionsFor(BenchSpec(flags), flags.device);
  auto decoder = flags.model.empty()
                     ? Decoder::Random(KnownShape(flags.shape, flags.layers), options)
                     : Decoder::Load(flags.model, options);
  RETURN_IF_ERROR(decoder.status());
  (*decoder)->SetTraining(true);
  Bench bench(flags, *std::move(decoder));
  RETURN_IF_ERROR(bench.Plan());
  std::cout << bench.Describe() << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << (line == "memory" ? bench.StepWithMemory() : bench.Step()) << std::endl;
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace dropbp::trainer

int main(int argc, char** argv) {
  CLI::App app("One training step for each line on stdin.");
  dropbp::trainer::Flags flags;
  app.add_option("--model", flags.model,
                 "Hugging Face model folder; none: random weights of --shape");
  app.add_option("--shape", flags.shape)->check(CLI::IsMember({"llama3-8b", "smollm2-135m"}));
  app.add_option("--layers", flags.layers, "Layers instead of the shape's own");
  app.add_option("--device", flags.device);
  app.add_option("--dtype", flags.dtype);
  app.add_option("--method", flags.method)->check(CLI::IsMember({"lora", "qlora", "full"}));
  app.add_option("--threads", flags.threads);
  app.add_option("--batch", flags.batch);
  app.add_option("--sequence", flags.sequence);
  app.add_option("--drop-rate", flags.drop_rate);
  app.add_option("--mask-groups", flags.mask_groups,
                 "Groups of sequences with masks of their own; 0: as a job would choose");
  app.add_flag("--activation-checkpointing", flags.activation_checkpointing);
  app.add_option("--supervised", flags.supervised, "Share of each sequence that carries loss");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = dropbp::trainer::Serve(flags);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return 1;
}
