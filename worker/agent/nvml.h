// NVIDIA GPUs as the driver's management library (NVML) tells them. The library is opened at run
// time, so the agent runs where there is no driver.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
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

// What a GPU does now; what it does not tell (utilisation of a MIG instance, say) is absent.
struct GpuReading {
  std::optional<int64_t> memory_used_bytes;
  std::optional<double> utilisation;  // share of the last sample period with a kernel running
  std::optional<double> temperature_celsius;
  std::optional<double> power_watts;
};

// Keeps NVML open, so that reading is cheap. Thread-safe.
class GpuMonitor {
 public:
  // Null without a driver.
  static std::unique_ptr<GpuMonitor> Open();
  ~GpuMonitor();

  // Nothing if there is no such GPU.
  std::optional<GpuReading> Read(const std::string& uuid) const;

 private:
  struct Library;
  explicit GpuMonitor(std::unique_ptr<Library> library);
  const std::unique_ptr<Library> library_;
};

// Those GPUs that a value of CUDA_VISIBLE_DEVICES (indices or UUIDs, comma-separated) leaves
// visible, in its order; an entry that matches none ends the list, as CUDA has it.
std::vector<Gpu> VisibleGpus(const std::vector<Gpu>& gpus, const std::string& visible);

}  // namespace dropbp::agent
