#include "worker/agent/devices.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "worker/agent/nvml.h"

namespace dropbp::agent {
namespace {

std::string ProcessorName() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    const size_t colon = line.find(':');
    if (absl::StartsWith(line, "model name") && colon != std::string::npos) {
      return std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)));
    }
  }
  return "CPU";
}

// CPUs that this process may run on.
int AllowedCpus() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) return CPU_COUNT(&allowed);
  return static_cast<int>(std::thread::hardware_concurrency());  // more of them than the set holds
}

int Threads(const AgentOptions& options, const Capacity& node, int slots) {
  return options.threads_per_slot > 0 ? options.threads_per_slot : std::max(1, node.cpus / slots);
}

std::vector<Slot> CpuSlots(const AgentOptions& options, const Capacity& node) {
  const int count = std::max(1, options.slots);
  std::vector<Slot> slots(count);
  for (int index = 0; index < count; ++index) {
    slots[index].index = index;
    slots[index].device_name = ProcessorName();
    slots[index].memory_bytes = node.memory_bytes / count;
    slots[index].threads = Threads(options, node, count);
  }
  return slots;
}

std::vector<Slot> CudaSlots(const AgentOptions& options, const Capacity& node,
                            const std::vector<Gpu>& gpus) {
  const int found = static_cast<int>(gpus.size());
  const int count = options.slots > 0 ? std::min(options.slots, found) : found;
  std::vector<Slot> slots(count);
  for (int index = 0; index < count; ++index) {
    slots[index].index = index;
    slots[index].kind = v1::DeviceSlot::CUDA;
    slots[index].device_name = gpus[index].name;
    slots[index].memory_bytes = gpus[index].memory_bytes;
    slots[index].threads = Threads(options, node, count);
    slots[index].gpu_uuid = gpus[index].uuid;
  }
  return slots;
}

}  // namespace

Capacity UsableCapacity(const CgroupLimits& limits) {
  Capacity node{
      .memory_bytes = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE),
      .cpus = std::max(1, AllowedCpus())};
  if (limits.memory_bytes) node.memory_bytes = std::min(node.memory_bytes, *limits.memory_bytes);
  if (limits.cpus && *limits.cpus < node.cpus)
    node.cpus = static_cast<int>(std::ceil(*limits.cpus));
  return node;
}

absl::StatusOr<std::vector<Slot>> DiscoverSlots(const AgentOptions& options) {
  const Capacity node = UsableCapacity(ReadCgroupLimits());
  if (options.device == "cpu") return CpuSlots(options, node);
  std::vector<Gpu> gpus = FindGpus();
  if (const char* visible = std::getenv("CUDA_VISIBLE_DEVICES")) gpus = VisibleGpus(gpus, visible);
  if (options.device == "auto" && gpus.empty()) return CpuSlots(options, node);
  const int wanted = std::max(1, options.slots);
  if (static_cast<int>(gpus.size()) < wanted) {
    return absl::FailedPreconditionError(
        absl::StrCat("--device ", options.device, ": found ", gpus.size(), " NVIDIA GPUs, ", wanted,
                     " needed; check the driver (nvidia-smi), or use --device cpu"));
  }
  return CudaSlots(options, node, gpus);
}

}  // namespace dropbp::agent
