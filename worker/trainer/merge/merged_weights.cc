#include "worker/trainer/merge/merged_weights.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "worker/trainer/model/adapter_files.h"
#include "worker/trainer/model/nf4.h"
#include "worker/trainer/model/tensor_views.h"

namespace dropbp::trainer {
namespace {

constexpr const char* kPrefix = "base_model.model.";
constexpr const char* kEmbedding = "model.embed_tokens.weight";
constexpr const char* kHead = "lm_head.weight";

// The module's path of a linear weight or bias in a block; empty for others.
std::string ModuleOf(const std::string& name) {
  absl::string_view module = name;
  if (!absl::ConsumeSuffix(&module, ".weight") && !absl::ConsumeSuffix(&module, ".bias")) return "";
  const absl::string_view last = module.substr(module.rfind('.') + 1);
  const bool linear = std::any_of(std::begin(kLinearModules), std::end(kLinearModules),
                                  [&](const char* known) { return last == known; });
  return linear ? std::string(module) : "";
}

at::Tensor ThroughNf4(const at::Tensor& weight, const QloraSpec& options) {
  const Nf4Matrix matrix = Nf4Matrix::Quantize(weight.contiguous(), options, at::kCPU);
  at::Tensor result = at::empty_like(weight, at::MemoryFormat::Contiguous);
  matrix.DequantizeRows(0, matrix.rows(), result);
  return result;
}

}  // namespace

absl::StatusOr<MergedWeights> MergedWeights::Open(const std::string& model_dir,
                                                  const std::string& adapter_dir,
                                                  std::optional<QloraSpec> quantized_base) {
  MergedWeights merged;
  merged.quantized_base_ = quantized_base;
  ASSIGN_OR_RETURN(merged.adapter_, ReadAdapterConfig(adapter_dir));
  if (merged.adapter_.method == "prompt_tuning") {
    return absl::InvalidArgumentError(absl::StrCat(
        adapter_dir, ": prompt tuning trains tokens, no weights: there is nothing to merge"));
  }
  ASSIGN_OR_RETURN(LoraTargets targets, LoraTargets::Make(merged.adapter_.lora));
  merged.targets_ = std::move(targets);
  ASSIGN_OR_RETURN(const hf::ModelConfig config, hf::ReadModelConfig(model_dir));
  ASSIGN_OR_RETURN(merged.model_, hf::OpenModelTensors(model_dir));
  ASSIGN_OR_RETURN(merged.adapter_file_,
                   hf::SafetensorsFile::Open(adapter_dir + "/adapter_model.safetensors"));
  merged.unties_head_ =
      config.shape.tied_embeddings && !merged.adapter_.lora.modules_to_save.empty();
  if (config.shape.tied_embeddings && !merged.unties_head_) merged.model_.tensors.erase(kHead);
  for (const auto& [name, view] : merged.model_.tensors) {
    if (!FloatingType(view.type).has_value()) {
      return absl::InvalidArgumentError(absl::StrCat(
          model_dir, ": ", name, " is of no floating-point type; F32, F16 and BF16 are supported"));
    }
  }
  RETURN_IF_ERROR(merged.CheckAdapter(adapter_dir));
  return merged;
}

absl::Status MergedWeights::CheckAdapter(const std::string& adapter_dir) const {
  std::set<std::string> known;
  for (const std::string& name : Names()) {
    known.insert(kPrefix + name);
    const std::string module = ModuleOf(name);
    if (module.empty()) continue;
    for (const char* suffix :
         {".lora_A.weight", ".lora_B.weight", ".lora_magnitude_vector", ".ia3_l"})
      known.insert(absl::StrCat(kPrefix, module, suffix));
  }
  for (const auto& [name, view] : adapter_file_->tensors()) {
    if (known.contains(name) && FloatingType(view.type).has_value()) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        adapter_dir, "/adapter_model.safetensors: ", name, " belongs to no weight of the model"));
  }
  return absl::OkStatus();
}

std::vector<std::string> MergedWeights::Names() const {
  std::set<std::string> names;
  for (const auto& [name, view] : model_.tensors) names.insert(name);
  if (unties_head_) names.insert(kHead);
  return {names.begin(), names.end()};
}

const hf::TensorView& MergedWeights::BaseOf(const std::string& name) const {
  const auto found = model_.tensors.find(unties_head_ && name == kHead ? kEmbedding : name);
  return found->second;
}

int64_t MergedWeights::Bytes(const std::string& name) const {
  return static_cast<int64_t>(BaseOf(name).data.size());
}

hf::TensorType MergedWeights::CoarsestType() const {
  hf::TensorType coarsest = hf::TensorType::kF32;
  for (const auto& [name, view] : model_.tensors) {
    if (view.type == hf::TensorType::kBF16) return view.type;
    if (view.type == hf::TensorType::kF16) coarsest = view.type;
  }
  return coarsest;
}

at::Tensor MergedWeights::FromAdapter(const std::string& name) const {
  const auto found = adapter_file_->tensors().find(kPrefix + name);
  if (found == adapter_file_->tensors().end()) return {};
  return BorrowTensor(found->second).to(at::kFloat);
}

at::Tensor MergedWeights::Get(const std::string& name) const {
  const at::Tensor base = BorrowTensor(BaseOf(name));
  const std::string module = ModuleOf(name);
  if (module.empty()) {
    const at::Tensor saved = FromAdapter(name);
    return saved.defined() ? saved.to(base.scalar_type()) : base;
  }
  if (base.dim() == 1) {
    const at::Tensor factor = FromAdapter(module + ".ia3_l");
    const bool on_output = factor.defined() && factor.size(1) == 1;
    return on_output ? (base * factor.view({-1})).to(base.scalar_type()) : base;
  }
  at::Tensor weight = base.to(at::kFloat);
  if (quantized_base_.has_value()) weight = ThroughNf4(weight, *quantized_base_);
  return Adapted(module, std::move(weight)).to(base.scalar_type());
}

at::Tensor MergedWeights::Adapted(const std::string& module, at::Tensor weight) const {
  const at::Tensor factor = FromAdapter(module + ".ia3_l");
  if (factor.defined()) return weight * factor;
  const at::Tensor a = FromAdapter(module + ".lora_A.weight");
  const at::Tensor b = FromAdapter(module + ".lora_B.weight");
  if (!a.defined() || !b.defined()) return weight;
  weight = weight + at::mm(b, a) * targets_->Of(module).scaling;
  const at::Tensor magnitude = FromAdapter(module + ".lora_magnitude_vector");
  if (!magnitude.defined()) return weight;
  return weight * (magnitude / weight.square().sum(1).sqrt()).unsqueeze(1);
}

}  // namespace dropbp::trainer
