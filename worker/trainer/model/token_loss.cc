#include "worker/trainer/model/token_loss.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "worker/trainer/model/elementwise.h"
#include "worker/trainer/model/matmul.h"
#include "worker/trainer/model/recorded.h"

namespace dropbp::trainer {
namespace {

constexpr int64_t kIgnored = -100;

// Rows whose logits fit well: into the CPU's cache, or a few hundred MiB of a GPU.
int64_t ChunkRows(const at::Tensor& head) {
  const int64_t elements = head.is_cpu() ? int64_t{1} << 23 : int64_t{1} << 28;
  return std::max<int64_t>(elements / head.size(0), 64);
}

// What the forward pass computes: gradients are those of the sum itself.
struct LossParts {
  at::Tensor sum;
  at::Tensor drows;  // [supervised rows, hidden]; undefined if not wanted
  at::Tensor dhead;  // fp32 [vocab, hidden]; undefined if not wanted
};

// Sum of the losses of capped logits, which become gradients of the uncapped ones if `want_grad`.
at::Tensor CappedLossInPlace(at::Tensor& logits, const at::Tensor& targets, double softcap,
                             bool want_grad) {
  if (softcap <= 0) return CrossEntropyInPlace(logits, targets, want_grad);
  SoftcapInPlace(logits, /*scale=*/1, softcap);
  const at::Tensor capped = want_grad ? logits.clone() : at::Tensor();
  const at::Tensor sum = CrossEntropyInPlace(logits, targets, want_grad);
  if (want_grad) SoftcapGradInPlace(logits, capped, /*scale=*/1, softcap);
  return sum;
}

LossParts LossOfRows(const at::Tensor& rows, const at::Tensor& targets, const at::Tensor& head,
                     double softcap, bool want_rows, bool want_head) {
  LossParts parts;
  parts.sum = at::zeros({}, rows.options().dtype(at::kFloat));
  if (want_rows) parts.drows = at::empty_like(rows);
  if (want_head) parts.dhead = at::zeros(head.sizes(), head.options().dtype(at::kFloat));
  const int64_t chunk_rows = ChunkRows(head);
  for (int64_t begin = 0; begin < rows.size(0); begin += chunk_rows) {
    const int64_t count = std::min(chunk_rows, rows.size(0) - begin);
    const at::Tensor chunk = rows.narrow(0, begin, count);
    at::Tensor logits = LinearForward(chunk, head);
    parts.sum.add_(CappedLossInPlace(logits, targets.narrow(0, begin, count), softcap,
                                     want_rows || want_head));
    if (want_rows) parts.drows.narrow(0, begin, count).copy_(LinearInputGrad(logits, head));
    if (want_head) parts.dhead.add_(LinearWeightGrad(logits, chunk));
  }
  return parts;
}

at::Tensor SupervisedRows(const at::Tensor& targets) {
  return targets.ne(kIgnored).nonzero().view({-1});
}

}  // namespace

at::Tensor TokenLossSum(const at::Tensor& hidden, const at::Tensor& targets,
                        const ComputeCopy& head, double softcap) {
  std::vector<at::Tensor> inputs = {hidden};
  if (head.leaf().defined()) inputs.push_back(head.leaf());
  const bool record = AnyRequiresGrad(inputs);
  at::Tensor index;
  LossParts parts;
  {
    at::NoGradGuard no_grad;
    index = SupervisedRows(targets);
    const at::Tensor supervised = targets.index_select(0, index).to(hidden.device());
    index = index.to(hidden.device());
    parts = LossOfRows(hidden.index_select(0, index), supervised, head.Get(), softcap,
                       record && hidden.requires_grad(), record && head.leaf().defined());
  }
  if (!record) return parts.sum;
  const std::vector<int64_t> shape = hidden.sizes().vec();
  const at::Tensor sum = parts.sum;
  parts.sum.reset();
  return Recorded(
      sum, inputs, [parts, index, shape](const at::Tensor& grad, const std::vector<bool>& needed) {
        std::vector<at::Tensor> grads(needed.size());
        if (needed[0]) {
          grads[0] =
              at::zeros(shape, parts.drows.options()).index_copy_(0, index, parts.drows * grad);
        }
        if (needed.size() > 1 && needed[1]) grads[1] = parts.dhead * grad;
        return grads;
      });
}

}  // namespace dropbp::trainer
