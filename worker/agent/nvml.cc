#include "worker/agent/nvml.h"

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "worker/agent/nvml_abi.h"

namespace dropbp::agent {
namespace {

// The functions of one opened library.
struct Nvml {
  NvmlReturn (*init)() = nullptr;
  NvmlReturn (*shutdown)() = nullptr;
  NvmlReturn (*count)(unsigned int*) = nullptr;
  NvmlReturn (*handle)(unsigned int, NvmlDevice*) = nullptr;
  NvmlReturn (*name)(NvmlDevice, char*, unsigned int) = nullptr;
  NvmlReturn (*uuid)(NvmlDevice, char*, unsigned int) = nullptr;
  NvmlReturn (*memory)(NvmlDevice, NvmlMemory*) = nullptr;
};

bool LoadAll(void* library, Nvml& nvml) {
  return LoadNvml(library, "nvmlInit_v2", nvml.init) &&
         LoadNvml(library, "nvmlShutdown", nvml.shutdown) &&
         LoadNvml(library, "nvmlDeviceGetCount_v2", nvml.count) &&
         LoadNvml(library, "nvmlDeviceGetHandleByIndex_v2", nvml.handle) &&
         LoadNvml(library, "nvmlDeviceGetName", nvml.name) &&
         LoadNvml(library, "nvmlDeviceGetUUID", nvml.uuid) &&
         LoadNvml(library, "nvmlDeviceGetMemoryInfo", nvml.memory);
}

std::vector<Gpu> ListGpus(const Nvml& nvml) {
  std::vector<Gpu> gpus;
  unsigned int count = 0;
  if (nvml.count(&count) != kNvmlSuccess) return gpus;
  for (unsigned int index = 0; index < count; ++index) {
    NvmlDevice device = nullptr;
    char name[96] = {};
    char uuid[96] = {};
    NvmlMemory memory = {};
    if (nvml.handle(index, &device) != kNvmlSuccess) continue;
    if (nvml.uuid(device, uuid, sizeof(uuid)) != kNvmlSuccess) continue;
    nvml.name(device, name, sizeof(name));
    nvml.memory(device, &memory);
    gpus.push_back({name, uuid, static_cast<int64_t>(memory.total)});
  }
  return gpus;
}

}  // namespace

std::vector<Gpu> FindGpus() {
  void* library = dlopen(kNvmlLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return {};
  const absl::Cleanup close = [library] { dlclose(library); };
  Nvml nvml;
  if (!LoadAll(library, nvml) || nvml.init() != kNvmlSuccess) return {};
  std::vector<Gpu> gpus = ListGpus(nvml);
  nvml.shutdown();
  return gpus;
}

std::vector<Gpu> VisibleGpus(const std::vector<Gpu>& gpus, const std::string& visible) {
  std::vector<Gpu> chosen;
  for (const absl::string_view entry : absl::StrSplit(visible, ',', absl::SkipWhitespace())) {
    const Gpu* found = nullptr;
    size_t index = 0;
    if (absl::SimpleAtoi(entry, &index)) {
      if (index < gpus.size()) found = &gpus[index];
    } else {
      for (const Gpu& gpu : gpus) {
        if (absl::StartsWith(gpu.uuid, entry)) found = &gpu;
      }
    }
    if (found == nullptr) break;
    chosen.push_back(*found);
  }
  return chosen;
}

}  // namespace dropbp::agent
