#include "worker/trainer/model/decoder_parts.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/plan/model_shape.h"
#include "worker/trainer/model/attention_branch.h"
#include "worker/trainer/model/compute_options.h"
#include "worker/trainer/model/mlp_branch.h"

namespace dropbp::trainer {
namespace {

absl::Status CheckLora(const LoraSpec& lora, const ModelShape& shape) {
  const std::vector<std::string> modules = LinearModules(shape);
  if (lora.rank < 1)
    return absl::InvalidArgumentError(
        absl::StrCat("lora.rank is ", lora.rank, "; it must be at least 1"));
  for (const std::string& target : lora.target_modules) {
    const bool known =
        target == "all-linear" || std::count(modules.begin(), modules.end(), target) > 0;
    if (!known) {
      return absl::InvalidArgumentError(absl::StrCat(
          "lora.target_modules: \"", target, "\" is no linear module of a ", shape.model_type,
          " model; legal are ", absl::StrJoin(modules, ", "), ", all-linear"));
    }
  }
  return absl::OkStatus();
}

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
      RETURN_IF_ERROR(AddUnit(layer, UnitKind::kAttention));
      RETURN_IF_ERROR(AddUnit(layer, UnitKind::kMlp));
    }
    ASSIGN_OR_RETURN(parts_.norm, MakeNorm("model.norm", shape.hidden_size, -1));
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

  absl::StatusOr<Norm> MakeNorm(const std::string& name, int64_t width, int unit) {
    ASSIGN_OR_RETURN(ComputeCopy weight, Plain(name + ".weight", {width}, unit));
    return Norm(std::move(weight), parts_.config.rms_norm_eps, parts_.config.unit_offset_norms);
  }

  bool HasAdapter(const LinearShape& module) const {
    if (!lora_method_) return false;
    return std::any_of(
        lora_.target_modules.begin(), lora_.target_modules.end(),
        [&](const std::string& target) { return target == "all-linear" || target == module.name; });
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

  // Modules that read the same input; their names begin with `prefix`.
  absl::StatusOr<LinearGroup> Group(const std::string& prefix,
                                    const std::vector<LinearShape>& shapes, int unit) {
    const int64_t in = shapes.front().in;
    const bool has_bias = shapes.front().bias;
    int64_t rows = 0;
    for (const LinearShape& shape : shapes) rows += shape.out;
    const at::Tensor weight = at::empty({rows, in}, Options());
    const at::Tensor bias = has_bias ? at::empty({rows}, Options()) : at::Tensor();
    std::vector<LinearModule> modules;
    int64_t offset = 0;
    for (const LinearShape& shape : shapes) {
      LinearModule module;
      module.name = prefix + shape.name;
      module.offset = offset;
      module.out = shape.out;
      const at::Tensor own = weight.narrow(0, offset, shape.out);
      RETURN_IF_ERROR(weights_.CopyTo(module.name + ".weight", own));
      if (full_) module.master = Trainable(module.name + ".weight", own, unit);
      if (has_bias) {
        const at::Tensor own_bias = bias.narrow(0, offset, shape.out);
        RETURN_IF_ERROR(weights_.CopyTo(module.name + ".bias", own_bias));
        if (full_) module.master_bias = Trainable(module.name + ".bias", own_bias, unit);
      }
      if (HasAdapter(shape)) AddAdapter(module, in, unit);
      offset += shape.out;
      modules.push_back(std::move(module));
    }
    const AdapterSettings adapter{
        lora_.alpha / static_cast<double>(std::max<int64_t>(lora_.rank, 1)), lora_.dropout};
    return full_ ? LinearGroup(std::move(modules), {}, {}, adapter, parts_.dtype)
                 : LinearGroup(std::move(modules), weight, bias, adapter, parts_.dtype);
  }

  absl::StatusOr<AttentionSettings> Settings(int64_t layer, const std::string& block, int unit) {
    const hf::ModelConfig& config = parts_.config;
    AttentionSettings settings{.layer = layer,
                               .dims = {.heads = config.shape.attention_heads,
                                        .kv_heads = config.shape.key_value_heads,
                                        .head_dim = config.shape.head_dim,
                                        .scale = config.attention_scale,
                                        .window = config.shape.Window(layer),
                                        .softcap = config.attention_softcap},
                               .rope = config.RopeOf(layer),
                               .query_norm = {},
                               .key_norm = {}};
    if (config.shape.query_key_norms) {
      const int64_t width = config.shape.head_dim;
      ASSIGN_OR_RETURN(settings.query_norm, MakeNorm(block + "q_norm", width, unit));
      ASSIGN_OR_RETURN(settings.key_norm, MakeNorm(block + "k_norm", width, unit));
    }
    return settings;
  }

  absl::Status AddUnit(int64_t layer, UnitKind kind) {
    const UnitShape shape = ShapeOfUnit(parts_.config.shape, kind);
    const int64_t hidden = parts_.config.shape.hidden_size;
    const std::string prefix = absl::StrCat("model.layers.", layer, ".");
    const std::string block = absl::StrCat(prefix, shape.block, ".");
    const int unit = static_cast<int>(parts_.units.size());
    ASSIGN_OR_RETURN(Norm norm, MakeNorm(prefix + shape.norm, hidden, unit));
    AttentionSettings settings;
    if (kind == UnitKind::kAttention) {
      ASSIGN_OR_RETURN(settings, Settings(layer, block, unit));
    }
    Norm post_norm;
    if (!shape.post_norm.empty()) {
      ASSIGN_OR_RETURN(post_norm, MakeNorm(prefix + shape.post_norm, hidden, unit));
    }
    ASSIGN_OR_RETURN(LinearGroup in, Group(block, shape.inputs, unit));
    ASSIGN_OR_RETURN(LinearGroup out, Group(block, {shape.output}, unit));
    if (kind == UnitKind::kAttention) {
      parts_.units.push_back(std::make_unique<AttentionBranch>(std::move(settings), std::move(norm),
                                                               std::move(post_norm), std::move(in),
                                                               std::move(out)));
    } else {
      parts_.units.push_back(std::make_unique<MlpBranch>(parts_.config.activation, std::move(norm),
                                                         std::move(post_norm), std::move(in),
                                                         std::move(out)));
    }
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
  if (options.method == "lora") RETURN_IF_ERROR(CheckLora(options.lora, config.shape));
  if (options.method != "lora" && options.method != "full" && options.method != "none") {
    return absl::InvalidArgumentError(
        absl::StrCat("method is \"", options.method, "\"; legal are lora, full, none"));
  }
  at::NoGradGuard no_grad;
  RETURN_IF_ERROR(Builder(options, weights, parts).Build());
  return parts;
}

}  // namespace dropbp::trainer
