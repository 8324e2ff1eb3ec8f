// The few declarations of nvml.h that are needed; its ABI is stable. Each function is looked up by
// name in the opened library.
#pragma once

#include <dlfcn.h>

namespace dropbp::agent {

using NvmlReturn = int;
inline constexpr NvmlReturn kNvmlSuccess = 0;
inline constexpr const char* kNvmlLibrary = "libnvidia-ml.so.1";
using NvmlDevice = void*;
struct NvmlMemory {  // bytes
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
};
struct NvmlUtilisation {  // percent
  unsigned int gpu;
  unsigned int memory;
};

// False where the driver is too old to have the function.
template <typename Function>
bool LoadNvml(void* library, const char* symbol, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, symbol));
  return function != nullptr;
}

}  // namespace dropbp::agent
