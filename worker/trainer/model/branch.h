// A droppable unit: a residual branch f_u(x), its own norms included, and what backward through it
// needs.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "worker/trainer/model/causal_attention.h"
#include "worker/trainer/model/kv_cache.h"
#include "worker/trainer/model/linear_group.h"
#include "worker/trainer/model/norm.h"
#include "worker/trainer/model/rope.h"
#include "worker/trainer/model/row_segments.h"

namespace dropbp::trainer {

// What all branches of one forward pass share.
struct ForwardContext {
  int64_t batch = 0;
  int64_t sequence = 0;
  std::vector<RopeAngles> angles;  // by index into ModelConfig::ropes
  RowSegments segments;            // samples that share rows; angles are then of each row
  at::Tensor sequences;            // int64: of the angles' rows those of this batch; undefined: all
  const at::Generator* dropout = nullptr;  // null: no adapter dropout
  KvCache* cache = nullptr;                // generation only
  bool checkpointing = false;              // recorded units keep their inputs only: UnitRecord
};

// Which sequences of a batch run a unit's backward pass.
struct UnitMask {
  enum class Kept { kAll, kSome, kNone };
  Kept kept = Kept::kAll;
  std::vector<int64_t> sequences;  // kSome: indices of the kept ones, ascending
  at::Tensor index;                // kSome: the same, int64 on x's device
  double cotangent_scale = 1;      // what enters f's backward pass is multiplied by it
};

// What a recorded forward pass keeps for its backward pass. Outputs of norms and of the gated
// activation are computed again instead.
struct BranchTape {
  ForwardContext context;
  at::Tensor x;  // [rows, hidden]
  at::Tensor inverse_rms;
  at::Tensor inner;              // output of the first linear group
  AttentionResult mixed;         // attention only
  at::Tensor query_inverse_rms;  // [rows * heads, 1], where heads are normed
  at::Tensor key_inverse_rms;
  at::Tensor unnormed;  // what enters the post-norm, if there is one
  at::Tensor post_inverse_rms;
  LinearTape in;
  LinearTape out;

  // A copy that holds the sequences of a mask only.
  BranchTape Select(const UnitMask& mask) const;
};

// norm -> first linear group -> mix (attention or gated activation) -> second linear group -> norm
// (Gemma). Not thread-safe.
class Branch {
 public:
  // `post_norm` may be none.
  Branch(Norm norm, Norm post_norm, LinearGroup in, LinearGroup out);
  virtual ~Branch() = default;

  // f(x), [rows, hidden], without recording. Fills `tape` if not null; the value is the same bit
  // for bit.
  at::Tensor Forward(const at::Tensor& x, const ForwardContext& context, BranchTape* tape);

  // The tape alone: what Forward fills, without what only the value needs.
  BranchTape Record(const at::Tensor& x, const ForwardContext& context);

  // Gradients of x (undefined unless `input_needed`) and of parameters(), in order.
  std::vector<at::Tensor> Backward(const BranchTape& tape, const at::Tensor& dy, bool input_needed);

  // Leaves: weights of the norm, of the mix and of the post-norm, then both linear groups'.
  std::vector<at::Tensor> parameters() const;

 protected:
  struct MixGrads {
    at::Tensor inner;
    std::vector<at::Tensor> parameters = {};  // of MixParameters(), in order
  };

  virtual at::Tensor Mix(const at::Tensor& inner, const ForwardContext& context,
                         BranchTape* tape) = 0;
  virtual at::Tensor MixAgain(const BranchTape& tape) = 0;
  virtual MixGrads MixGrad(const BranchTape& tape, const at::Tensor& dmixed) = 0;
  virtual std::vector<at::Tensor> MixParameters() const { return {}; }

 private:
  // All but the second linear group and what follows it.
  at::Tensor Mixed(const at::Tensor& x, const ForwardContext& context, BranchTape* tape);

  Norm norm_;
  Norm post_norm_;
  LinearGroup in_;
  LinearGroup out_;
};

// x + f(x). Kept sequences: one recorded node for all of them. Dropped ones: x +
// stop_gradient(f(x)); nothing of f is recorded for them. The value does not depend on the mask.
at::Tensor ResidualUnit(Branch& branch, const at::Tensor& x, const ForwardContext& context,
                        const UnitMask& mask);

}  // namespace dropbp::trainer
