#include "worker/trainer/model/decoder.h"

#include <ATen/ATen.h>

#include <memory>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "worker/trainer/model/decoder_ends.h"
#include "worker/trainer/model/decoder_parts.h"
#include "worker/trainer/model/decoder_walk.h"
#include "worker/trainer/model/elementwise.h"
#include "worker/trainer/model/host_memory.h"
#include "worker/trainer/model/kv_cache.h"
#include "worker/trainer/model/matmul.h"
#include "worker/trainer/model/recorded.h"
#include "worker/trainer/model/rope.h"
#include "worker/trainer/model/token_loss.h"

namespace dropbp::trainer {
namespace {

class PartsDecoder : public Decoder {
 public:
  PartsDecoder(DecoderParts parts, const DecoderOptions& options)
      : parts_(std::move(parts)),
        checkpointing_(options.activation_checkpointing),
        dropout_(at::globalContext().defaultGenerator(parts_.device).clone()) {
    dropout_.set_current_seed(options.seed);
    for (const hf::RopeConfig& rope : parts_.config.ropes)
      ropes_.emplace_back(rope, parts_.config.shape.head_dim, parts_.device);
  }

  const hf::ModelConfig& config() const override { return parts_.config; }
  const std::vector<TrainableParameter>& trainable() const override { return parts_.trainable; }
  void SetTraining(bool training) override { training_ = training; }
  bool training() const override { return training_; }
  void SeedDropout(uint64_t seed) override { dropout_.set_current_seed(seed); }

  at::Tensor ForwardGroups(const TokenBatch& batch, const ForwardMasks& masks) override {
    const at::Tensor all = WithPrompt(parts_, batch.ids, /*padding=*/{});
    const std::vector<UnitMask> units = UnitMasks(masks, batch.ids.size(0), parts_);
    return LastColumns(Run(all, units, ContextOf(all, batch.segments)), batch.ids);
  }

  std::unique_ptr<BackwardWalk> Walk(const TokenBatch& batch, const at::Tensor& targets,
                                     double count) override {
    const at::Tensor all = WithPrompt(parts_, batch.ids, /*padding=*/{});
    return std::make_unique<DecoderWalk>(parts_, batch.ids, targets, count,
                                         ContextOf(all, batch.segments));
  }

  std::unique_ptr<KvCache> NewCache(const at::Tensor& padding, int64_t capacity) override {
    const ModelShape& shape = parts_.config.shape;
    const auto options = at::TensorOptions().dtype(parts_.dtype).device(parts_.device);
    return std::make_unique<KvCache>(
        KvCache::Shape{shape.layers, padding.size(0), shape.key_value_heads,
                       capacity + PromptLength(parts_), shape.head_dim},
        padding, options);
  }

  at::Tensor ForwardCached(const at::Tensor& ids, KvCache& cache) override {
    at::NoGradGuard no_grad;
    const at::Tensor all = cache.length() == 0 ? WithPrompt(parts_, ids, cache.padding()) : ids;
    ForwardContext context;
    context.batch = all.size(0);
    context.sequence = all.size(1);
    const at::Tensor positions = cache.Begin(context.sequence);
    for (RopeTable& rope : ropes_) context.angles.push_back(rope.At(positions, cache.capacity()));
    context.cache = &cache;
    return LastColumns(Run(all, std::vector<UnitMask>(parts_.units.size()), context), ids);
  }

  at::Tensor LossSum(const at::Tensor& hidden, const at::Tensor& targets) override {
    return TokenLossSum(Rows(hidden), targets.reshape({-1}), parts_.head,
                        parts_.config.logit_softcap);
  }

  at::Tensor Logits(const at::Tensor& hidden) override {
    at::NoGradGuard no_grad;
    std::vector<int64_t> shape = hidden.sizes().vec();
    shape.back() = parts_.config.shape.vocab_size;
    at::Tensor logits = LinearForward(Rows(hidden), parts_.head.Get());
    const double softcap = parts_.config.logit_softcap;
    if (softcap > 0) SoftcapInPlace(logits, /*scale=*/1, softcap);
    return logits.to(at::kFloat).view(shape);
  }

 private:
  at::Tensor Rows(const at::Tensor& hidden) const {
    return hidden.reshape({-1, parts_.config.shape.hidden_size});
  }

  // Of hidden states [batch, columns, hidden] those of `ids`' columns, without virtual tokens.
  at::Tensor LastColumns(const at::Tensor& hidden, const at::Tensor& ids) const {
    if (hidden.size(1) == ids.size(1)) return hidden;
    return hidden.narrow(1, hidden.size(1) - ids.size(1), ids.size(1));
  }

  ForwardContext ContextOf(const at::Tensor& ids, const RowSegments& segments) {
    ForwardContext context;
    context.batch = ids.size(0);
    context.sequence = ids.size(1);
    context.segments = segments;
    context.angles = AnglesOf(context);
    context.dropout = training_ ? &dropout_ : nullptr;
    context.checkpointing = checkpointing_;
    return context;
  }

  std::vector<RopeAngles> AnglesOf(const ForwardContext& context) {
    const RowSegments& segments = context.segments;
    std::vector<RopeAngles> angles;
    if (segments.empty()) {
      for (RopeTable& rope : ropes_) angles.push_back(rope.First(context.sequence));
      return angles;
    }
    DROPBP_CHECK(static_cast<int64_t>(segments.size()) == context.batch);
    DROPBP_CHECK(PromptLength(parts_) == 0);
    const at::Tensor positions = PositionsInSegments(segments, context.sequence).to(parts_.device);
    for (RopeTable& rope : ropes_) angles.push_back(rope.At(positions, LongestSegment(segments)));
    return angles;
  }

  at::Tensor Run(const at::Tensor& ids, const std::vector<UnitMask>& masks,
                 const ForwardContext& context) {
    at::Tensor x = Embed(parts_, ids);
    for (size_t unit = 0; unit < parts_.units.size(); ++unit) {
      x = ResidualUnit(*parts_.units[unit], x, context, masks[unit]);
    }
    return FinalNorm(parts_, x).view({context.batch, context.sequence, -1});
  }

  DecoderParts parts_;
  const bool checkpointing_;
  std::vector<RopeTable> ropes_;
  at::Generator dropout_;
  bool training_ = false;
};

absl::StatusOr<std::unique_ptr<Decoder>> Make(const hf::ModelConfig& config,
                                              const DecoderOptions& options,
                                              WeightSource& weights) {
  KeepFreedMemory();
  try {
    ASSIGN_OR_RETURN(DecoderParts parts, BuildDecoder(config, options, weights));
    return std::make_unique<PartsDecoder>(std::move(parts), options);
  } catch (const c10::Error& error) {
    return absl::ResourceExhaustedError(error.what_without_backtrace());
  }
}

}  // namespace

at::Tensor Decoder::Forward(const TokenBatch& batch, const MaskRow& keep) {
  ForwardMasks masks;
  if (!keep.empty()) masks.rows = {keep};
  return ForwardGroups(batch, masks);
}

absl::StatusOr<std::unique_ptr<Decoder>> Decoder::Load(const std::string& model_dir,
                                                       const DecoderOptions& options) {
  ASSIGN_OR_RETURN(const hf::ModelConfig config, hf::ReadModelConfig(model_dir));
  ASSIGN_OR_RETURN(const std::unique_ptr<WeightSource> weights, OpenWeights(model_dir));
  return Make(config, options, *weights);
}

absl::StatusOr<std::unique_ptr<Decoder>> Decoder::Random(const hf::ModelConfig& config,
                                                         const DecoderOptions& options) {
  const std::unique_ptr<WeightSource> weights =
      RandomWeights(options.seed, config.unit_offset_norms ? 0 : 1);
  return Make(config, options, *weights);
}

}  // namespace dropbp::trainer
