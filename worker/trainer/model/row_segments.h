// Samples that share rows of a batch ("packing"), without seeing each other.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace dropbp::trainer {

// By row the lengths of its samples, in their order, each above 0; what stands behind the last one
// is padding. Empty: every row is one sample.
using RowSegments = std::vector<std::vector<int64_t>>;

// Position of each token within its sample, int64 [rows, sequence] on the CPU; 0 for padding.
// A process-ending error if a row's samples are longer than the sequence.
at::Tensor PositionsInSegments(const RowSegments& segments, int64_t sequence);

// Length of the longest sample.
int64_t LongestSegment(const RowSegments& segments);

}  // namespace dropbp::trainer
