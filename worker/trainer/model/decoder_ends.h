// What lies below and above a decoder's units: embedding, final norm; and masks made ready for the
// units between them.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "worker/trainer/model/branch.h"
#include "worker/trainer/model/decoder.h"
#include "worker/trainer/model/decoder_parts.h"

namespace dropbp::trainer {

// Ids of virtual tokens are negative: -1 is the first one. Puts all of the model's into `ids`
// [batch, sequence], between the padding at the left of each sequence, int64 [batch, 1] columns
// (undefined: none), and its tokens. Gives `ids` itself where the model has none.
at::Tensor WithPrompt(const DecoderParts& parts, const at::Tensor& ids, const at::Tensor& padding);
int64_t PromptLength(const DecoderParts& parts);

// ids: [batch, sequence] -> [rows, hidden] in the compute dtype; recorded if the embedding or a
// prompt is trained.
at::Tensor Embed(const DecoderParts& parts, const at::Tensor& ids);

// [rows, hidden] -> [rows, hidden]; recorded if a gradient could reach x or the norm's weight.
at::Tensor FinalNorm(const DecoderParts& parts, const at::Tensor& x);

// One mask a unit. A process-ending error if sizes do not fit or the rows do not divide the batch.
std::vector<UnitMask> UnitMasks(const ForwardMasks& masks, int64_t batch,
                                const DecoderParts& parts);

}  // namespace dropbp::trainer
