// How much memory training needs.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>

namespace dropbp::trainer {

// Peak bytes since the process began: allocated on the device, or the resident set of the process
// on CPU.
int64_t PeakMemoryBytes(c10::Device device);

}  // namespace dropbp::trainer
