#include "worker/trainer/model/decoder_parts.h"

#include <ATen/ATen.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/plan/model_shape.h"
#include "worker/trainer/model/adapter_builder.h"
#include "worker/trainer/model/attention_branch.h"
#include "worker/trainer/model/compute_options.h"
#include "worker/trainer/model/mlp_branch.h"

namespace dropbp::trainer {
namespace {

class Builder {
 public:
  Builder(const DecoderOptions& options, AdapterBuilder adapters, WeightSource& weights,
          DecoderParts& parts)
      : dropout_(options.lora.dropout),
        full_(options.method == "full"),
        quantization_(options.method == "qlora" ? std::optional(options.qlora) : std::nullopt),
        adapters_(std::move(adapters)),
        weights_(weights),
        parts_(parts) {}

  absl::Status Build() {
    const ModelShape& shape = parts_.config.shape;
    constexpr const char* kEmbedding = "model.embed_tokens.weight";
    ASSIGN_OR_RETURN(parts_.embedding, Vocabulary("model.embed_tokens", kEmbedding));
    parts_.prompt = adapters_.Prompt(parts_.embedding.Get());
    for (int64_t layer = 0; layer < shape.layers; ++layer) {
      RETURN_IF_ERROR(AddUnit(layer, UnitKind::kAttention));
      RETURN_IF_ERROR(AddUnit(layer, UnitKind::kMlp));
    }
    ASSIGN_OR_RETURN(parts_.norm, MakeNorm("model.norm", shape.hidden_size, -1));
    // A tied head that is trained beside adapters, or whose embedding is, goes its own way, as in
    // PEFT.
    const bool apart = adapters_.IsSaved("embed_tokens") || adapters_.IsSaved("lm_head");
    if (shape.tied_embeddings && !apart) {
      parts_.head = parts_.embedding;
    } else {
      ASSIGN_OR_RETURN(
          parts_.head,
          Vocabulary("lm_head", shape.tied_embeddings ? kEmbedding : "lm_head.weight"));
    }
    return weights_.CheckAllUsed();
  }

 private:
  at::TensorOptions Options() const {
    return at::TensorOptions().device(parts_.device).dtype(full_ ? at::kFloat : parts_.dtype);
  }

  // A weight that is no linear module of a block.
  absl::StatusOr<ComputeCopy> Plain(const std::string& name, at::IntArrayRef shape, int unit) {
    const at::Tensor value = at::empty(shape, Options());
    RETURN_IF_ERROR(weights_.CopyTo(name, value));
    return full_ ? ComputeCopy::Of(adapters_.Train(name, value, unit), parts_.dtype)
                 : ComputeCopy::Frozen(value);
  }

  // Embedding or head; `source` is the weight that it begins as.
  absl::StatusOr<ComputeCopy> Vocabulary(const std::string& module, const std::string& source) {
    const std::vector<int64_t> shape = {parts_.config.shape.vocab_size,
                                        parts_.config.shape.hidden_size};
    if (!adapters_.IsSaved(module.substr(module.rfind('.') + 1))) return Plain(source, shape, -1);
    const at::Tensor value = at::empty(shape, Options().dtype(at::kFloat));
    RETURN_IF_ERROR(weights_.CopyTo(source, value));
    const std::string name = absl::StrCat("base_model.model.", module, ".weight");
    return ComputeCopy::Of(adapters_.Train(name, value, -1), parts_.dtype);
  }

  absl::StatusOr<Norm> MakeNorm(const std::string& name, int64_t width, int unit) {
    ASSIGN_OR_RETURN(ComputeCopy weight, Plain(name + ".weight", {width}, unit));
    return Norm(std::move(weight), parts_.config.rms_norm_eps, parts_.config.unit_offset_norms);
  }

  // A frozen weight in 4 bits. It is 32-bit only while it is being read.
  absl::StatusOr<Nf4Matrix> Quantized(const std::string& name, int64_t out, int64_t in) {
    const at::Tensor weight = at::empty({out, in}, at::kFloat);
    RETURN_IF_ERROR(weights_.CopyTo(name, weight));
    return Nf4Matrix::Quantize(weight, *quantization_, parts_.device);
  }

  // Modules' weights one below another.
  absl::StatusOr<LinearWeight> Weight(const std::string& prefix,
                                      const std::vector<LinearShape>& shapes, at::Tensor& dense) {
    const int64_t in = shapes.front().in;
    if (quantization_.has_value()) {
      std::vector<Nf4Matrix> matrices;
      for (const LinearShape& shape : shapes) {
        ASSIGN_OR_RETURN(Nf4Matrix matrix,
                         Quantized(prefix + shape.name + ".weight", shape.out, in));
        matrices.push_back(std::move(matrix));
      }
      return LinearWeight(std::move(matrices), parts_.dtype);
    }
    int64_t rows = 0;
    for (const LinearShape& shape : shapes) rows += shape.out;
    dense = at::empty({rows, in}, Options());
    int64_t offset = 0;
    for (const LinearShape& shape : shapes) {
      RETURN_IF_ERROR(
          weights_.CopyTo(prefix + shape.name + ".weight", dense.narrow(0, offset, shape.out)));
      offset += shape.out;
    }
    return LinearWeight(dense);
  }

  // Modules that read the same input; their names begin with `prefix`.
  absl::StatusOr<LinearGroup> Group(const std::string& prefix,
                                    const std::vector<LinearShape>& shapes, int unit) {
    const int64_t in = shapes.front().in;
    const bool has_bias = shapes.front().bias;
    at::Tensor dense;
    ASSIGN_OR_RETURN(LinearWeight weight, Weight(prefix, shapes, dense));
    std::vector<at::Tensor> biases;
    std::vector<LinearModule> modules;
    int64_t offset = 0;
    for (const LinearShape& shape : shapes) {
      LinearModule module;
      module.name = prefix + shape.name;
      module.offset = offset;
      module.out = shape.out;
      if (full_) {
        module.master =
            adapters_.Train(module.name + ".weight", dense.narrow(0, offset, shape.out), unit);
      }
      if (has_bias) {
        biases.push_back(at::empty({shape.out}, Options()));
        RETURN_IF_ERROR(weights_.CopyTo(module.name + ".bias", biases.back()));
        if (full_) {
          module.master_bias = adapters_.Train(module.name + ".bias", biases.back(), unit);
        }
      }
      adapters_.Equip(module, in, unit, weight);
      offset += shape.out;
      modules.push_back(std::move(module));
    }
    if (full_) return LinearGroup(std::move(modules), {}, {}, dropout_, parts_.dtype);
    return LinearGroup(std::move(modules), std::move(weight),
                       has_bias ? at::cat(biases) : at::Tensor(), dropout_, parts_.dtype);
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

  const double dropout_;
  const bool full_;
  const std::optional<QloraSpec> quantization_;
  AdapterBuilder adapters_;
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
  ASSIGN_OR_RETURN(AdapterBuilder adapters,
                   AdapterBuilder::Make(options, config.shape, parts.device, &parts.trainable));
  at::NoGradGuard no_grad;
  RETURN_IF_ERROR(Builder(options, std::move(adapters), weights, parts).Build());
  return parts;
}

}  // namespace dropbp::trainer
