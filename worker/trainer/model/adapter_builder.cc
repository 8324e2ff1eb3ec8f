#include "worker/trainer/model/adapter_builder.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/plan/model_shape.h"

namespace dropbp::trainer {
namespace {

constexpr const char* kMethods[] = {"lora", "qlora", "ia3", "prompt_tuning", "full", "none"};
constexpr const char* kSavedModules[] = {"embed_tokens", "lm_head"};
// Modules that do not share their input.
constexpr const char* kFeedforwardModules[] = {"o_proj", "down_proj"};
constexpr const char* kPromptInits[] = {"random", "sample_vocab"};

template <typename Legal>
absl::Status CheckWords(const char* field, const std::vector<std::string>& words,
                        const Legal& legal) {
  for (const std::string& word : words) {
    if (std::count(std::begin(legal), std::end(legal), word) > 0) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": found \"", word, "\", legal are ", absl::StrJoin(legal, ", ")));
  }
  return absl::OkStatus();
}

absl::Status CheckLora(const LoraSpec& lora, const ModelShape& shape) {
  if (lora.rank < 1)
    return absl::InvalidArgumentError(
        absl::StrCat("lora.rank is ", lora.rank, "; it must be at least 1"));
  std::vector<std::string> legal = LinearModules(shape);
  legal.push_back("all-linear");
  std::vector<std::string> names;
  for (const std::string& target : lora.target_modules)
    names.push_back(target.substr(target.rfind('.') + 1));
  RETURN_IF_ERROR(CheckWords("lora.target_modules", names, legal));
  return CheckWords("lora.modules_to_save", lora.modules_to_save, kSavedModules);
}

absl::Status CheckIa3(const Ia3Spec& ia3, const ModelShape& shape) {
  RETURN_IF_ERROR(CheckWords("ia3.target_modules", ia3.target_modules, LinearModules(shape)));
  return CheckWords("ia3.feedforward_modules", ia3.feedforward_modules, kFeedforwardModules);
}

absl::Status CheckPrompt(const PromptTuningSpec& prompt) {
  if (prompt.num_virtual_tokens < 1)
    return absl::InvalidArgumentError(absl::StrCat("prompt_tuning.num_virtual_tokens is ",
                                                   prompt.num_virtual_tokens,
                                                   "; it must be at least 1"));
  return CheckWords("prompt_tuning.init", {prompt.init}, kPromptInits);
}

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::count(names.begin(), names.end(), name) > 0;
}

}  // namespace

AdapterBuilder::AdapterBuilder(const DecoderOptions& options, at::Device device,
                               LoraTargets targets, std::vector<TrainableParameter>* trainable)
    : options_(options), device_(device), targets_(std::move(targets)), trainable_(trainable) {}

absl::StatusOr<AdapterBuilder> AdapterBuilder::Make(const DecoderOptions& options,
                                                    const ModelShape& shape, at::Device device,
                                                    std::vector<TrainableParameter>* trainable) {
  RETURN_IF_ERROR(CheckWords("method", {options.method}, kMethods));
  if (TrainsLora(options.method)) RETURN_IF_ERROR(CheckLora(options.lora, shape));
  if (options.method == "ia3") RETURN_IF_ERROR(CheckIa3(options.ia3, shape));
  if (options.method == "prompt_tuning") RETURN_IF_ERROR(CheckPrompt(options.prompt_tuning));
  ASSIGN_OR_RETURN(LoraTargets targets, LoraTargets::Make(options.lora));
  return AdapterBuilder(options, device, std::move(targets), trainable);
}

void AdapterBuilder::Equip(LinearModule& module, int64_t in, int unit, const LinearWeight& weight) {
  if (TrainsLora(options_.method)) EquipLora(module, in, unit, weight);
  if (options_.method == "ia3") EquipIa3(module, in, unit);
}

// A: Kaiming-uniform with a = sqrt(5), which is uniform within 1 / sqrt(in). B: zero. A magnitude
// begins as the norm of what it multiplies.
void AdapterBuilder::EquipLora(LinearModule& module, int64_t in, int unit,
                               const LinearWeight& weight) {
  const AdapterShape shape = targets_.Of(module.name);
  if (shape.rank == 0) return;
  const std::string prefix = absl::StrCat("base_model.model.", module.name);
  const auto options = at::TensorOptions().device(device_).dtype(at::kFloat);
  const double bound = 1 / std::sqrt(static_cast<double>(in));
  const at::Tensor a =
      at::empty({shape.rank, in}, at::kFloat).uniform_(-bound, bound, NextGenerator()).to(device_);
  module.scaling = shape.scaling;
  module.lora_a = Train(prefix + ".lora_A.weight", a, unit);
  module.lora_b = Train(prefix + ".lora_B.weight", at::zeros({module.out, shape.rank}, options),
                        unit, options_.lora.loraplus_lr_ratio);
  if (!options_.lora.use_dora) return;
  const at::Tensor norms = weight.RowSquares().narrow(0, module.offset, module.out).sqrt();
  module.magnitude =
      Train(prefix + ".lora_magnitude_vector", norms, unit, options_.lora.loraplus_lr_ratio);
}

void AdapterBuilder::EquipIa3(LinearModule& module, int64_t in, int unit) {
  const std::string last = module.name.substr(module.name.rfind('.') + 1);
  if (!Contains(options_.ia3.target_modules, last)) return;
  const std::string name = absl::StrCat("base_model.model.", module.name, ".ia3_l");
  const auto options = at::TensorOptions().device(device_).dtype(at::kFloat);
  if (Contains(options_.ia3.feedforward_modules, last)) {
    module.input_factor = Train(name, at::ones({1, in}, options), unit);
  } else {
    module.output_factor = Train(name, at::ones({module.out, 1}, options), unit);
  }
}

at::Tensor AdapterBuilder::Prompt(const at::Tensor& embedding) {
  if (options_.method != "prompt_tuning") return {};
  const int64_t tokens = options_.prompt_tuning.num_virtual_tokens;
  at::Tensor value;
  if (options_.prompt_tuning.init == "random") {
    value = at::empty({tokens, embedding.size(1)}, at::kFloat)
                .normal_(0, 1, NextGenerator())
                .to(device_);
  } else {
    const at::Tensor ids =
        at::empty({tokens}, at::kLong).random_(embedding.size(0), NextGenerator());
    value = embedding.index_select(0, ids.to(device_)).to(at::kFloat);
  }
  return Train("prompt_embeddings", value, /*unit=*/-1);
}

bool AdapterBuilder::IsSaved(const std::string& module) const {
  return TrainsLora(options_.method) && Contains(options_.lora.modules_to_save, module);
}

at::Tensor AdapterBuilder::Train(const std::string& name, const at::Tensor& value, int unit,
                                 double learning_rate_scale) {
  at::Tensor leaf = value.detach().requires_grad_(true);
  trainable_->push_back({name, leaf, unit, learning_rate_scale});
  return leaf;
}

at::Generator AdapterBuilder::NextGenerator() const {
  uint64_t mixed =
      (options_.seed + 1) * 0x9E3779B97F4A7C15ull + trainable_->size() * 0xBF58476D1CE4E5B9ull;
  mixed = (mixed ^ (mixed >> 31)) * 0x94D049BB133111EBull;
  return at::detail::createCPUGenerator(mixed ^ (mixed >> 29));
}

}  // namespace dropbp::trainer
