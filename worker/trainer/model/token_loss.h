// Cross-entropy of the language-model head, without ever holding all logits.
#pragma once

#include <ATen/core/Tensor.h>

#include "worker/trainer/model/compute_copy.h"

namespace dropbp::trainer {

// Sum of the cross-entropies, fp32 scalar. hidden: [rows, hidden]; targets: int64 [rows], on
// hidden's device or the CPU, -100 where there is no loss; head: [vocab, hidden]. Logits exist for
// supervised rows only and a chunk of them at a time: each chunk's gradients are computed at once,
// in the forward pass, if any will be wanted. Logits v become softcap * tanh(v / softcap), unless
// it is 0.
at::Tensor TokenLossSum(const at::Tensor& hidden, const at::Tensor& targets,
                        const ComputeCopy& head, double softcap = 0);

}  // namespace dropbp::trainer
