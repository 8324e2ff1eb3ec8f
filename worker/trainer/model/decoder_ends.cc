#include "worker/trainer/model/decoder_ends.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/base/check.h"
#include "worker/trainer/model/elementwise.h"
#include "worker/trainer/model/recorded.h"

namespace dropbp::trainer {
namespace {

// Sequences of the groups that keep `unit`.
std::vector<int64_t> KeptSequences(const std::vector<MaskRow>& rows, size_t unit, int64_t batch) {
  const int64_t size = batch / static_cast<int64_t>(rows.size());
  std::vector<int64_t> kept;
  for (int64_t sequence = 0; sequence < batch; ++sequence) {
    if (rows[sequence / size][unit]) kept.push_back(sequence);
  }
  return kept;
}

}  // namespace

int64_t PromptLength(const DecoderParts& parts) {
  return parts.prompt.defined() ? parts.prompt.size(0) : 0;
}

at::Tensor WithPrompt(const DecoderParts& parts, const at::Tensor& ids, const at::Tensor& padding) {
  const int64_t length = PromptLength(parts);
  if (length == 0) return ids;
  const int64_t batch = ids.size(0);
  const at::Tensor prompt = at::arange(-1, -length - 1, -1, at::kLong).to(ids.device());
  const at::Tensor all = at::cat({prompt.expand({batch, length}), ids}, 1);
  if (!padding.defined()) return all;
  // Column c of a sequence with p columns of padding is its token c before p, virtual token c - p
  // up to p + length, and token c - length behind that.
  const at::Tensor column = at::arange(all.size(1), at::kLong).to(ids.device()).unsqueeze(0);
  const at::Tensor begin = padding.to(ids.device());
  const at::Tensor source = at::where(column < begin, column + length,
                                      at::where(column < begin + length, column - begin, column));
  return all.gather(1, source);
}

at::Tensor Embed(const DecoderParts& parts, const at::Tensor& ids) {
  at::Tensor flat = ids.to(parts.device).reshape({-1});
  const at::Tensor virtual_rows =
      parts.prompt.defined() ? flat.lt(0).nonzero().view({-1}) : at::Tensor();
  const at::Tensor virtual_tokens =
      parts.prompt.defined() ? -1 - flat.index_select(0, virtual_rows) : at::Tensor();
  if (parts.prompt.defined()) flat = flat.clamp_min(0);
  const at::Tensor& leaf = parts.embedding.leaf();
  const at::Tensor embedded = AnyRequiresGrad({leaf}) ? at::embedding(leaf, flat).to(parts.dtype)
                                                      : parts.embedding.Get().index_select(0, flat);
  const double scale = std::sqrt(static_cast<double>(parts.config.shape.hidden_size));
  const at::Tensor rows = parts.config.scaled_embeddings
                              ? embedded * at::scalar_tensor(scale, embedded.options())
                              : embedded;
  if (!parts.prompt.defined()) return rows;
  return rows.index_copy(0, virtual_rows,
                         at::embedding(parts.prompt, virtual_tokens).to(parts.dtype));
}

at::Tensor FinalNorm(const DecoderParts& parts, const at::Tensor& x) {
  std::vector<at::Tensor> inputs = {x};
  if (parts.norm.leaf().defined()) inputs.push_back(parts.norm.leaf());
  const bool record = AnyRequiresGrad(inputs);
  RmsNormResult normed;
  {
    at::NoGradGuard no_grad;
    normed = parts.norm.Forward(x);
  }
  if (!record) return normed.y;
  const auto backward = [norm = parts.norm, x, inverse_rms = normed.inverse_rms](
                            const at::Tensor& dy, const std::vector<bool>& needed) {
    std::vector<at::Tensor> grads(needed.size());
    if (needed[0]) grads[0] = norm.InputGrad(dy, x, inverse_rms);
    if (needed.size() > 1 && needed[1]) grads[1] = norm.WeightGrad(dy, x, inverse_rms);
    return grads;
  };
  return Recorded(normed.y, inputs, backward);
}

std::vector<UnitMask> UnitMasks(const ForwardMasks& masks, int64_t batch,
                                const DecoderParts& parts) {
  const size_t units = parts.units.size();
  std::vector<UnitMask> list(units);
  for (const MaskRow& row : masks.rows) DROPBP_CHECK(row.size() == units);
  if (!masks.rows.empty()) DROPBP_CHECK(batch % static_cast<int64_t>(masks.rows.size()) == 0);
  DROPBP_CHECK(masks.cotangent_scales.empty() || masks.cotangent_scales.size() == units);
  for (size_t unit = 0; unit < units; ++unit) {
    UnitMask& mask = list[unit];
    if (!masks.cotangent_scales.empty()) mask.cotangent_scale = masks.cotangent_scales[unit];
    if (masks.rows.empty()) continue;
    std::vector<int64_t> kept = KeptSequences(masks.rows, unit, batch);
    if (static_cast<int64_t>(kept.size()) == batch) continue;
    mask.kept = kept.empty() ? UnitMask::Kept::kNone : UnitMask::Kept::kSome;
    if (!kept.empty()) mask.index = at::tensor(kept, at::kLong).to(parts.device);
    mask.sequences = std::move(kept);
  }
  return list;
}

}  // namespace dropbp::trainer
