// Who of the ranks, which all hold the same, writes what of it.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace dropbp {

// The rank that writes each of the things whose sizes are given, in order: each rank gets a run of
// neighbours, and the bytes come out as even as whole things allow. A pure function, so that ranks
// need not speak of it. `world_size` >= 1; ranks may be left with nothing.
std::vector<int> WriterOf(absl::Span<const int64_t> bytes, int world_size);

}  // namespace dropbp
