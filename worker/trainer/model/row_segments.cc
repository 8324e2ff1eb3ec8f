#include "worker/trainer/model/row_segments.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "core/base/check.h"

namespace dropbp::trainer {

at::Tensor PositionsInSegments(const RowSegments& segments, int64_t sequence) {
  at::Tensor positions = at::zeros({static_cast<int64_t>(segments.size()), sequence}, at::kLong);
  int64_t* row_begin = positions.mutable_data_ptr<int64_t>();
  for (const std::vector<int64_t>& row : segments) {
    int64_t* token = row_begin;
    row_begin += sequence;
    for (const int64_t length : row) {
      DROPBP_CHECK(length > 0 && length <= row_begin - token);
      std::iota(token, token + length, int64_t{0});
      token += length;
    }
  }
  return positions;
}

int64_t LongestSegment(const RowSegments& segments) {
  int64_t longest = 0;
  for (const std::vector<int64_t>& row : segments) {
    for (const int64_t length : row) longest = std::max(longest, length);
  }
  return longest;
}

}  // namespace dropbp::trainer
