// Training steps on demand, for bench/train_speed.py: loads or makes a model, prints one JSON line
// about itself, then for each line on stdin measures one optimizer step and prints a JSON line
// about it. The line "memory" counts the step's tensors as well, which costs a little time.
//
// Note [Window] Plan and masks are those of a job, and every step of a rank with several mask rows
// costs the same. With one nested row a step (allocation depth; full, whose masks are shared) costs
// vary from step to step and meet the plan over kNestedWindow steps. A line then measures so many,
// in place of one: seconds and held bytes are their mean, peaks the highest.
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
#include "core/plan/estimator.h"
#include "core/plan/layer_table.h"
#include "core/plan/mask_plan.h"
#include "core/plan/nested_masks.h"
#include "core/plan/plan_stages.h"
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
  std::string allocation = DropbpSpec().allocation;
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
  spec.dropbp.allocation = flags.allocation;
  spec.dropbp.mask_groups = flags.mask_groups;
  return spec;
}

// Steps that are measured as one: Note [Window].
int WindowOf(const DropPlan& plan) {
  return plan.block.rows == 1 && plan.planned > 0 ? kNestedWindow : 1;
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
        spec_(BenchSpec(flags)),
        optimizer_(decoder_->trainable(), spec_.training) {}

  absl::Status Plan() {
    ASSIGN_OR_RETURN(const LayerTable table,
                     BuildLayerTable(decoder_->config().shape, spec_, flags_.sequence));
    ASSIGN_OR_RETURN(DropPlan plan, MakeStagePlan(table, spec_, {.target = flags_.drop_rate},
                                                  /*sensitivities=*/{}));
    limit_ = SpeedLimit(table, plan,
                        static_cast<double>(supervised_) / static_cast<double>(ids_.numel()));
    masks_.emplace(std::move(plan), /*seed=*/1, MaskRows(spec_));
    return absl::OkStatus();
  }

  nlohmann::json Describe() const {
    return {{"planned_drop_rate", masks_->plan().planned},
            {"speed_limit", limit_},
            {"mask_groups", masks_->rows()},
            {"window", WindowOf(masks_->plan())},
            {"tokens", ids_.numel()},
            {"supervised_tokens", supervised_}};
  }

  nlohmann::json Measure() { return Report(MeasureWindow(nullptr)); }

  // Also what forward leaves for backward, and the most that the step held beyond what was there.
  // A step goes before it, so that every tensor that a step replaces was seen when it was made.
  nlohmann::json MeasureWithMemory() {
    MemoryWatch watch;
    MeasureWindow(&watch);
    watch.Restart();
    nlohmann::json line = Report(MeasureWindow(&watch));
    line["step_peak_bytes"] = watch.peak_bytes();
    return line;
  }

 private:
  struct Cost {
    double seconds = 0;
    double forward_seconds = 0;
    double held_bytes = 0;
    int64_t peak_bytes = 0;
    double loss = 0;
  };

  static nlohmann::json Report(const Cost& cost) {
    return {{"seconds", cost.seconds},
            {"forward_seconds", cost.forward_seconds},
            {"loss", cost.loss},
            {"held_bytes", cost.held_bytes},
            {"peak_bytes", cost.peak_bytes}};
  }

  // Note [Window].
  Cost MeasureWindow(const MemoryWatch* watch) {
    const int steps = WindowOf(masks_->plan());
    Cost mean;
    for (int i = 0; i < steps; ++i) {
      const Cost step = Step(watch);
      mean.seconds += step.seconds / steps;
      mean.forward_seconds += step.forward_seconds / steps;
      mean.held_bytes += step.held_bytes / steps;
      mean.peak_bytes = std::max(mean.peak_bytes, step.peak_bytes);
      mean.loss = step.loss;
    }
    return mean;
  }

  Cost Step(const MemoryWatch* watch) {
    TakePeakBytes(device_);
    const int64_t held_before = watch != nullptr ? watch->held_bytes() : 0;
    const auto begin = std::chrono::steady_clock::now();
    const std::vector<MaskRow> rows = masks_->Draw(step_++);
    at::Tensor hidden = decoder_->ForwardGroups(ids_, {.rows = rows, .cotangent_scales = {}});
    const at::Tensor loss =
        decoder_->LossSum(std::exchange(hidden, at::Tensor()), targets_).div(supervised_);
    Cost cost{.loss = loss.item<double>()};
    const auto forward = std::chrono::steady_clock::now();
    if (watch != nullptr) cost.held_bytes = static_cast<double>(watch->held_bytes() - held_before);
    if (loss.requires_grad()) loss.backward();
    if (ResolvedEstimator(spec_) == "own") RescaleOwn(OwnScales(masks_->plan(), rows));
    optimizer_.Step(1e-4);
    optimizer_.ClearGradients();
    if (!device_.is_cpu()) torch::cuda::synchronize();
    const auto end = std::chrono::steady_clock::now();
    cost.seconds = std::chrono::duration<double>(end - begin).count();
    cost.forward_seconds = std::chrono::duration<double>(forward - begin).count();
    cost.peak_bytes = TakePeakBytes(device_);
    return cost;
  }

  void RescaleOwn(const std::vector<double>& scales) const {
    for (const TrainableParameter& parameter : decoder_->trainable()) {
      at::Tensor gradient = parameter.value.grad();
      if (parameter.unit >= 0 && gradient.defined()) gradient.mul_(scales[parameter.unit]);
    }
  }

  const Flags flags_;
  std::unique_ptr<Decoder> decoder_;
  at::Device device_;
  at::Tensor ids_;
  at::Tensor targets_;
  int64_t supervised_;
  const JobSpec spec_;
  AdamW optimizer_;
  std::optional<MaskPlan> masks_;
  double limit_ = 1;
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
    std::cout << (line == "memory" ? bench.MeasureWithMemory() : bench.Measure()) << std::endl;
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace dropbp::trainer

int main(int argc, char** argv) {
  CLI::App app(
      "One training step for each line on stdin; 8, whose mean counts, where one nested mask row "
      "makes "
      "their costs vary (allocation depth, method full).");
  dropbp::trainer::Flags flags;
  app.add_option("--model", flags.model,
                 "Hugging Face model folder; none: random weights of --shape");
  app.add_option("--shape", flags.shape)->check(CLI::IsMember({"llama3-8b", "smollm2-135m"}));
  app.add_option("--layers", flags.layers, "Layers instead of the shape's own");
  app.add_option("--device", flags.device);
  app.add_option("--dtype", flags.dtype);
  app.add_option("--method", flags.method)->check(CLI::IsMember({"lora", "qlora", "full"}));
  app.add_option("--allocation", flags.allocation, "dropbp.allocation of the job")
      ->check(CLI::IsMember({"depth", "uniform"}));
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
