// NVIDIA GPUs as the driver's management library (NVML) tells them. The library is opened at run
// time, so the agent runs where there is no driver.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dropbp::agent {

struct Gpu {
  std::string name;  // "NVIDIA H100 80GB HBM3"
  std::string uuid;  // "GPU-..." as CUDA_VISIBLE_DEVICES takes it
  int64_t memory_bytes = 0;
};

// All GPUs in NVML's order; empty without driver or GPU.
std::vector<Gpu> FindGpus();

// Those GPUs that a value of CUDA_VISIBLE_DEVICES (indices or UUIDs, comma-separated) leaves
// visible, in its order; an entry that matches none ends the list, as CUDA has it.
std::vector<Gpu> VisibleGpus(const std::vector<Gpu>& gpus, const std::string& visible);

}  // namespace dropbp::agent
