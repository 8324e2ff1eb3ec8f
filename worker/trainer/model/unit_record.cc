#include "worker/trainer/model/unit_record.h"

#include <ATen/ATen.h>

#include <utility>

namespace dropbp::trainer {
namespace {

std::shared_ptr<const BranchTape> Shared(BranchTape tape, const UnitMask& mask) {
  const bool some = mask.kept == UnitMask::Kept::kSome;
  return std::make_shared<const BranchTape>(some ? tape.Select(mask) : std::move(tape));
}

}  // namespace

at::Tensor UnitRecord::Forward(Branch& branch, const at::Tensor& x, const ForwardContext& context,
                               const UnitMask& mask) {
  if (!context.checkpointing) {
    BranchTape tape;
    const at::Tensor value = branch.Forward(x, context, &tape);
    tape_ = Shared(std::move(tape), mask);
    return value;
  }
  branch_ = &branch;
  x_ = x;
  context_ = context;
  if (context.dropout != nullptr) dropout_ = context.dropout->clone();
  mask_ = mask;
  return branch.Forward(x, context, /*tape=*/nullptr);
}

std::shared_ptr<const BranchTape> UnitRecord::Tape() const {
  if (tape_ != nullptr) return tape_;
  ForwardContext context = context_;
  const at::Generator dropout = context.dropout != nullptr ? dropout_.clone() : dropout_;
  if (context.dropout != nullptr) context.dropout = &dropout;
  BranchTape tape = branch_->Record(x_, context);
  tape.context.dropout = nullptr;  // ends with this call, and backward passes draw nothing
  return Shared(std::move(tape), mask_);
}

}  // namespace dropbp::trainer
