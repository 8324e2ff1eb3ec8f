// Several short samples in one row of a batch, so that compute is not spent on padding.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "core/job/job_spec.h"
#include "worker/data/dataset.h"

namespace dropbp::data {

// Shares samples of the given lengths out to rows of at most `row_length` tokens (best fit, longest
// first; ties by index). Deterministic, O(n log n). A row's samples are in ascending order, rows in
// the order of their first sample; each sample is in exactly one row. Lengths are in 1 ...
// row_length.
std::vector<Row> PackRows(absl::Span<const int64_t> lengths, int64_t row_length);

// Makes the rows of a data set, and their number in its report: its samples packed into rows of at
// most max_length tokens, or without packing each in a row of its own.
void MakeRows(const DatasetSpec& spec, TokenizedDataset& dataset);

}  // namespace dropbp::data
