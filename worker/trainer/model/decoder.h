// A decoder whose residual branches can be dropped from the backward pass. One for all model
// families: hf::ModelConfig says how a model differs from Llama.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/job/job_spec.h"
#include "core/plan/mask_plan.h"
#include "worker/hf/model_config.h"
#include "worker/trainer/model/row_segments.h"

namespace dropbp::trainer {

// How a model is loaded for training or generation.
struct DecoderOptions {
  std::string dtype = "auto";   // auto | fp32 | bf16: base weights and activations
  std::string device = "cpu";   // cpu | cuda:<index>
  std::string method = "none";  // none (frozen) | as JobSpec::method
  LoraSpec lora = {};
  QloraSpec qlora = {};
  Ia3Spec ia3 = {};
  PromptTuningSpec prompt_tuning = {};
  uint64_t seed = 0;  // initial adapters
  // Kept units keep their inputs only, and run forward again before their backward pass: the same
  // gradients, bit for bit, in less memory and more time.
  bool activation_checkpointing = false;
};

// A tensor that an optimizer updates, in place. `value` is an fp32 leaf with requires_grad.
struct TrainableParameter {
  std::string name;  // as PEFT (adapters) or transformers (full) names it in its files
  at::Tensor value;
  int unit = -1;  // the droppable unit it belongs to; -1: never dropped
  double learning_rate_scale = 1;
};

// What a forward pass runs on.
struct TokenBatch {
  // Implicit: most batches are ids alone.
  TokenBatch(at::Tensor ids, RowSegments segments = {})
      : ids(std::move(ids)), segments(std::move(segments)) {}

  at::Tensor ids;  // [batch, sequence], int64; right padding needs no mask, since attention is
                   // causal
  RowSegments segments;  // which samples share the rows; not with prompt tuning
};

// Which units run backward, and for which sequences. The batch is divided into rows.size() groups
// of equally many sequences, in order; group g keeps the units of rows[g].
struct ForwardMasks {
  std::vector<MaskRow> rows = {};             // empty: everything is kept
  std::vector<double> cotangent_scales = {};  // by unit: what enters its branch's backward pass is
                                              // multiplied by it; empty: 1
};

// A recorded forward pass through which one can walk backward many times, from any unit: what the
// sensitivity probe needs. It holds the activations of all units, or with activation checkpointing
// their inputs. The same operations in the same order as a backward pass, hence the same bits. Not
// thread-safe; the decoder outlives it.
class BackwardWalk {
 public:
  // By index in Decoder::trainable(); undefined where no gradient went.
  using Gradients = std::vector<at::Tensor>;

  virtual ~BackwardWalk() = default;
  // Cotangent of the last unit's output, [rows, hidden]; sets gradients of head and final norm.
  virtual at::Tensor Top(Gradients& gradients) = 0;
  // `dy`: cotangent of the unit's output. Sets gradients of its parameters, and gives the cotangent
  // of its input (undefined if nothing below is trained and this is unit 0).
  virtual at::Tensor Through(int unit, const at::Tensor& dy, Gradients& gradients) = 0;
  // `dx`: cotangent of unit 0's input. Adds the embedding's gradient, if it is trained.
  virtual void Bottom(const at::Tensor& dx, Gradients& gradients) = 0;
};

// Keys and values of earlier positions, for generation. One per sequence batch.
class KvCache;

// Not thread-safe.
class Decoder {
 public:
  // Reads <model_dir>; errors name the file and what is wrong in it.
  static absl::StatusOr<std::unique_ptr<Decoder>> Load(const std::string& model_dir,
                                                       const DecoderOptions& options);
  // Random weights of the given shape, for benches and tests.
  static absl::StatusOr<std::unique_ptr<Decoder>> Random(const hf::ModelConfig& config,
                                                         const DecoderOptions& options);
  virtual ~Decoder() = default;

  virtual const hf::ModelConfig& config() const = 0;

  // Hidden states after the final norm, [batch, sequence, hidden]. Where a unit is not kept it runs
  // without recording: its value is the same bit for bit, and it costs no backward compute and no
  // activation memory. The number of mask rows divides the batch.
  virtual at::Tensor ForwardGroups(const TokenBatch& batch, const ForwardMasks& masks) = 0;
  // The same with one mask row for the whole batch; empty: everything is kept.
  at::Tensor Forward(const TokenBatch& batch, const MaskRow& keep);

  // Forward pass and loss (LossSum / `count`) of a batch with everything kept, for walking
  // backward.
  virtual std::unique_ptr<BackwardWalk> Walk(const TokenBatch& batch, const at::Tensor& targets,
                                             double count) = 0;

  // Sum of the cross-entropies of the supervised positions, fp32 scalar. targets: [batch, sequence]
  // int64, the token to predict AT each position, -100 where there is no loss. Logits are made for
  // supervised positions only.
  virtual at::Tensor LossSum(const at::Tensor& hidden, const at::Tensor& targets) = 0;

  // Logits of hidden states, [..., vocab], in fp32.
  virtual at::Tensor Logits(const at::Tensor& hidden) = 0;

  // Everything the optimizer updates, in a fixed order: the order of units, then of modules.
  virtual const std::vector<TrainableParameter>& trainable() const = 0;

  // Switches adapter dropout on (training) or off, as it is at first. Off, no generator is read.
  virtual void SetTraining(bool training) = 0;
  virtual bool training() const = 0;

  // Restarts the generator of adapter dropout. Called before each forward pass with a function of
  // (seed, step, row), it makes dropout one too; at first it is seeded with DecoderOptions::seed.
  virtual void SeedDropout(uint64_t seed) = 0;

  // Generation. Sequences of a batch end at the same column; `padding`, int64 [batch], is how many
  // columns each has to its left. `capacity`: columns in all. ForwardCached takes the ids of the
  // next columns, [batch, columns], and gives their hidden states as Forward does; it records
  // nothing.
  virtual std::unique_ptr<KvCache> NewCache(const at::Tensor& padding, int64_t capacity) = 0;
  virtual at::Tensor ForwardCached(const at::Tensor& ids, KvCache& cache) = 0;
};

}  // namespace dropbp::trainer
