// What the sensitivity probe measures: how gradient norms change when one unit is dropped
// (GradNormVar; DropBP, eq. 6).
#pragma once

#include <vector>

#include "absl/types/span.h"
#include "worker/trainer/model/decoder.h"
#include "worker/trainer/train/batch.h"

namespace dropbp::trainer {

// Norms of the gradients of all trainable tensors, in their order; 0 for a tensor that no gradient
// reaches.
struct ProbeNorms {
  std::vector<double> base;                  // with nothing dropped
  std::vector<std::vector<double>> dropped;  // with only units[i] dropped, by i
  // Work done, in passes of one micro-batch through one unit; not those forward passes that
  // activation checkpointing adds, one before each backward pass.
  int64_t unit_forwards = 0;
  int64_t unit_backwards = 0;
};

// The measure of the probe: gradients of the mean loss over the supervised tokens of `batch`, for
// the given units. It leaves no trace: parameters, their .grad and every random generator stay as
// they are (adapter dropout is off meanwhile). Throws what torch throws.
using ProbeMeasure = ProbeNorms (*)(Decoder& model, const StepBatch& batch,
                                    absl::Span<const int> units);

// The definition itself: one forward and backward with nothing dropped, and one for each unit. It
// is the reference that any faster measure must equal bit for bit.
ProbeNorms MeasureByDefinition(Decoder& model, const StepBatch& batch, absl::Span<const int> units);

// The same norms, bit for bit, from one forward pass. Note [Suffixes]: a forward value does not
// depend on what is dropped, so neither do gradients above a dropped unit u; u's own become zero,
// and the unit below receives the cotangent of u's output through the residual path alone. So one
// backward pass that keeps the cotangents of the units' outputs, then for each u a backward pass of
// the units below u. For all N units that is N forward and N (N + 1) / 2 backward passes through a
// unit, against N (N + 1) and N^2. Activations of the whole probe batch are held meanwhile,
// or with activation checkpointing the units' inputs.
ProbeNorms MeasureBySuffixes(Decoder& model, const StepBatch& batch, absl::Span<const int> units);

}  // namespace dropbp::trainer
