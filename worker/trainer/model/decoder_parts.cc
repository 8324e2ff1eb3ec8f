#include "worker/trainer/model/decoder_parts.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/plan/layer_table.h"
#include "worker/trainer/model/attention_branch.h"
#include "worker/trainer/model/compute_options.h"
#include "worker/trainer/model/mlp_branch.h"

namespace dropbp::trainer {
namespace {

absl::Status CheckLora(const LoraSpec& lora) {
  if (lora.rank < 1)
    return absl::InvalidArgumentError(
        absl::StrCat("lora.rank is ", lora.rank, "; it must be at least 1"));
  for (const std::string& target : lora.target_modules) {
    const bool known = target == "all-linear" ||
                       std::count(std::begin(kLinearModules), std::end(kLinearModules), target) > 0;
    if (!known) {
      return absl::InvalidArgumentError(
          absl::StrCat("lora.target_modules: \"", target, "\" is no linear module; legal are ",
                       absl::StrJoin(kLinearModules, ", "), ", all-linear"));
    }
  }
  return absl::OkStatus();
}

// Rows of one module in a group's matrix.
struct ModuleShape {
  std::string name;
  int64_t out;
};

class Builder {
 public:
  Builder(const DecoderOptions& options, WeightSource& weights, DecoderParts& parts)
      : lora_(options.lora),
        lora_method_(options.method == "lora"),
        full_(options.method == "full"),
        seed_(options.seed),
        weights_(weights),
        parts_(parts) {}

  absl::Status Build() {
    const ModelShape& shape = parts_.config.shape;
    ASSIGN_OR_RETURN(parts_.embedding,
                     Plain("model.embed_tokens.weight", {shape.vocab_size, shape.hidden_size}, -1));
    for (int64_t layer = 0; layer < shape.layers; ++layer) {
      RETURN_IF_ERROR(AddAttention(layer));
      RETURN_IF_ERROR(AddMlp(layer));
    }
    ASSIGN_OR_RETURN(parts_.norm, Plain("model.norm.weight", {shape.hidden_size}, -1));
    parts_.head = parts_.embedding;
    if (!shape.tied_embeddings) {
      ASSIGN_OR_RETURN(parts_.head,
                       Plain("lm_head.weight", {shape.vocab_size, shape.hidden_size}, -1));
    }
    return weights_.CheckAllUsed();
  }

 private:
  at::TensorOptions Options() const {
    return at::TensorOptions().device(parts_.device).dtype(full_ ? at::kFloat : parts_.dtype);
  }

  at::Tensor Trainable(const std::string& name, const at::Tensor& value, int unit) {
    at::Tensor leaf = value.detach().requires_grad_(true);
    parts_.trainable.push_back({name, leaf, unit});
    return leaf;
  }

  // A weight that is no linear module of a block.
  absl::StatusOr<ComputeCopy> Plain(const std::string& name, at::IntArrayRef shape, int unit) {
    const at::Tensor value = at::empty(shape, Options());
    RETURN_IF_ERROR(weights_.CopyTo(name, value));
    return full_ ? ComputeCopy::Of(Trainable(name, value, unit), parts_.dtype)
                 : ComputeCopy::Frozen(value);
  }

  bool HasAdapter(const std::string& module) const {
    if (!lora_method_) return false;
    const std::string last = module.substr(module.rfind('.') + 1);
    return std::any_of(
        lora_.target_modules.begin(), lora_.target_modules.end(),
        [&](const std::string& target) { return target == "all-linear" || target == last; });
  }

  // Kaiming-uniform with a = sqrt(5), which is uniform within 1 / sqrt(in); its seed is that of the
  // job and the parameter's index, so that every rank and every attempt begins with the same
  // adapters.
  at::Tensor InitialA(int64_t in) const {
    uint64_t mixed =
        (seed_ + 1) * 0x9E3779B97F4A7C15ull + parts_.trainable.size() * 0xBF58476D1CE4E5B9ull;
    mixed = (mixed ^ (mixed >> 31)) * 0x94D049BB133111EBull;
    at::Generator generator = at::detail::createCPUGenerator(mixed ^ (mixed >> 29));
    const double bound = 1 / std::sqrt(static_cast<double>(in));
    return at::empty({lora_.rank, in}, at::kFloat)
        .uniform_(-bound, bound, generator)
        .to(parts_.device);
  }

  void AddAdapter(LinearModule& module, int64_t in, int unit) {
    const std::string prefix = absl::StrCat("base_model.model.", module.name);
    module.lora_a = Trainable(prefix + ".lora_A.weight", InitialA(in), unit);
    const auto options = at::TensorOptions().device(parts_.device).dtype(at::kFloat);
    module.lora_b =
        Trainable(prefix + ".lora_B.weight", at::zeros({module.out, lora_.rank}, options), unit);
  }

  absl::StatusOr<LinearGroup> Group(const std::vector<ModuleShape>& shapes, int64_t in,
                                    bool has_bias, int unit) {
    int64_t rows = 0;
    for (const ModuleShape& shape : shapes) rows += shape.out;
    const at::Tensor weight = at::empty({rows, in}, Options());
    const at::Tensor bias = has_bias ? at::empty({rows}, Options()) : at::Tensor();
    std::vector<LinearModule> modules;
    int64_t offset = 0;
    for (const ModuleShape& shape : shapes) {
      LinearModule module;
      module.name = shape.name;
      module.offset = offset;
      module.out = shape.out;
      const at::Tensor own = weight.narrow(0, offset, shape.out);
      RETURN_IF_ERROR(weights_.CopyTo(shape.name + ".weight", own));
      if (full_) module.master = Trainable(shape.name + ".weight", own, unit);
      if (has_bias) {
        const at::Tensor own_bias = bias.narrow(0, offset, shape.out);
        RETURN_IF_ERROR(weights_.CopyTo(shape.name + ".bias", own_bias));
        if (full_) module.master_bias = Trainable(shape.name + ".bias", own_bias, unit);
      }
      if (HasAdapter(shape.name)) AddAdapter(module, in, unit);
      offset += shape.out;
      modules.push_back(std::move(module));
    }
    const AdapterSettings adapter{
        lora_.alpha / static_cast<double>(std::max<int64_t>(lora_.rank, 1)), lora_.dropout};
    return full_ ? LinearGroup(std::move(modules), {}, {}, adapter, parts_.dtype)
                 : LinearGroup(std::move(modules), weight, bias, adapter, parts_.dtype);
  }

  absl::Status AddAttention(int64_t layer) {
    const ModelShape& shape = parts_.config.shape;
    const std::string prefix = absl::StrCat("model.layers.", layer, ".");
    const int unit = static_cast<int>(parts_.units.size());
    const int64_t queries = shape.attention_heads * shape.head_dim;
    const int64_t keys = shape.key_value_heads * shape.head_dim;
    const bool bias = parts_.config.attention_bias;
    const std::string attention = prefix + "self_attn.";
    ASSIGN_OR_RETURN(ComputeCopy norm,
                     Plain(prefix + "input_layernorm.weight", {shape.hidden_size}, unit));
    ASSIGN_OR_RETURN(LinearGroup in, Group({{attention + "q_proj", queries},
                                            {attention + "k_proj", keys},
                                            {attention + "v_proj", keys}},
                                           shape.hidden_size, bias, unit));
    ASSIGN_OR_RETURN(LinearGroup out,
                     Group({{attention + "o_proj", shape.hidden_size}}, queries, bias, unit));
    const AttentionDims dims{.heads = shape.attention_heads,
                             .kv_heads = shape.key_value_heads,
                             .head_dim = shape.head_dim};
    parts_.units.push_back(std::make_unique<AttentionBranch>(
        layer, dims, std::move(norm), parts_.config.rms_norm_eps, std::move(in), std::move(out)));
    return absl::OkStatus();
  }

  absl::Status AddMlp(int64_t layer) {
    const ModelShape& shape = parts_.config.shape;
    const std::string prefix = absl::StrCat("model.layers.", layer, ".");
    const int unit = static_cast<int>(parts_.units.size());
    const bool bias = parts_.config.mlp_bias;
    ASSIGN_OR_RETURN(ComputeCopy norm,
                     Plain(prefix + "post_attention_layernorm.weight", {shape.hidden_size}, unit));
    ASSIGN_OR_RETURN(LinearGroup in, Group({{prefix + "mlp.gate_proj", shape.intermediate_size},
                                            {prefix + "mlp.up_proj", shape.intermediate_size}},
                                           shape.hidden_size, bias, unit));
    ASSIGN_OR_RETURN(LinearGroup out, Group({{prefix + "mlp.down_proj", shape.hidden_size}},
                                            shape.intermediate_size, bias, unit));
    parts_.units.push_back(std::make_unique<MlpBranch>(std::move(norm), parts_.config.rms_norm_eps,
                                                       std::move(in), std::move(out)));
    return absl::OkStatus();
  }

  const LoraSpec lora_;
  const bool lora_method_;
  const bool full_;
  const uint64_t seed_;
  WeightSource& weights_;
  DecoderParts& parts_;
};

}  // namespace

absl::StatusOr<DecoderParts> BuildDecoder(const hf::ModelConfig& config,
                                          const DecoderOptions& options, WeightSource& weights) {
  DecoderParts parts;
  parts.config = config;
  ASSIGN_OR_RETURN(parts.device, ParseDevice(options.device));
  ASSIGN_OR_RETURN(parts.dtype, ResolveDtype(options.dtype, config.dtype, parts.device));
  if (options.method == "lora") RETURN_IF_ERROR(CheckLora(options.lora));
  if (options.method != "lora" && options.method != "full" && options.method != "none") {
    return absl::InvalidArgumentError(
        absl::StrCat("method is \"", options.method, "\"; legal are lora, full, none"));
  }
  at::NoGradGuard no_grad;
  RETURN_IF_ERROR(Builder(options, weights, parts).Build());
  return parts;
}

}  // namespace dropbp::trainer
