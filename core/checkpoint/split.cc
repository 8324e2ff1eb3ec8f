#include "core/checkpoint/split.h"

#include <algorithm>
#include <numeric>

#include "core/base/check.h"

namespace dropbp {

std::vector<int> WriterOf(absl::Span<const int64_t> bytes, int world_size) {
  DROPBP_CHECK(world_size >= 1);
  const double all = static_cast<double>(std::accumulate(bytes.begin(), bytes.end(), int64_t{0}));
  std::vector<int> writers;
  double before = 0;
  for (const int64_t size : bytes) {
    // The rank in whose share of all bytes the middle of this thing lies.
    const double middle = before + static_cast<double>(size) / 2;
    const int rank = all > 0 ? static_cast<int>(middle / all * world_size) : 0;
    writers.push_back(std::min(rank, world_size - 1));
    before += static_cast<double>(size);
  }
  return writers;
}

}  // namespace dropbp
