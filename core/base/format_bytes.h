// Sizes as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace dropbp {

// "512 B", "1.5 KiB", "13.1 GiB": binary prefixes up to TiB. `bytes` is not negative.
std::string FormatBytes(int64_t bytes);

}  // namespace dropbp
