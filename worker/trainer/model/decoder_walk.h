// The recorded forward pass of a decoder, walked backward unit by unit without autograd.
#pragma once

#include <ATen/core/Tensor.h>

#include <unordered_map>
#include <vector>

#include "worker/trainer/model/decoder.h"
#include "worker/trainer/model/decoder_parts.h"
#include "worker/trainer/model/unit_record.h"

namespace dropbp::trainer {

class DecoderWalk : public BackwardWalk {
 public:
  // Runs the forward pass. Must be made with recording on; `parts` outlives it.
  DecoderWalk(DecoderParts& parts, const at::Tensor& ids, const at::Tensor& targets, double count,
              const ForwardContext& context);

  at::Tensor Top(Gradients& gradients) override;
  at::Tensor Through(int unit, const at::Tensor& dy, Gradients& gradients) override;
  void Bottom(const at::Tensor& dx, Gradients& gradients) override;

 private:
  void Add(const at::Tensor& leaf, const at::Tensor& gradient, Gradients& gradients) const;

  DecoderParts& parts_;
  at::Tensor embedded_;  // unit 0's input, with its graph if the embedding is trained
  std::vector<UnitRecord> records_;
  at::Tensor top_;                                    // the last unit's output, a leaf
  at::Tensor loss_;                                   // with the graph from top_ to it
  std::unordered_map<const void*, size_t> index_of_;  // of a leaf, in parts_.trainable
};

}  // namespace dropbp::trainer
