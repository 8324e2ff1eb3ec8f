// What a unit's forward pass leaves for its backward pass.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <memory>

#include "worker/trainer/model/branch.h"

namespace dropbp::trainer {

// Either the tape itself; or, with ForwardContext::checkpointing, no more than the unit's input
// (activation checkpointing, Chen et al., 2016). Then the tape is made by a second forward pass
// whenever it is asked for, and lives as long as its user keeps it.
//
// Note [The same bits again]
// The second pass is over the whole batch, as the first was, and sequences are selected after it: a
// matrix product of fewer rows may add up in another order. Adapter dropout draws from a copy of
// the generator as it stood before the first pass, so that the mask is the same and the generator
// itself does not move.
class UnitRecord {
 public:
  // f(x), recorded for the sequences that `mask` keeps. `branch` outlives the record, and neither x
  // nor the branch's leaves change before its last Tape(). Both are called without recording.
  at::Tensor Forward(Branch& branch, const at::Tensor& x, const ForwardContext& context,
                     const UnitMask& mask);

  // Of these sequences. As often as it is needed.
  std::shared_ptr<const BranchTape> Tape() const;

 private:
  std::shared_ptr<const BranchTape> tape_;  // null: made again from what follows

  Branch* branch_ = nullptr;
  at::Tensor x_;
  ForwardContext context_;
  at::Generator dropout_;  // before the first pass
  UnitMask mask_;
};

}  // namespace dropbp::trainer
