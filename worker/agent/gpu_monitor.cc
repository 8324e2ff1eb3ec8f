#include "worker/agent/nvml.h"
#include "worker/agent/nvml_abi.h"

namespace dropbp::agent {
namespace {

constexpr int kGpuTemperature = 0;  // NVML_TEMPERATURE_GPU

}  // namespace

struct GpuMonitor::Library {
  void* handle = nullptr;
  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  int (*device)(const char*, NvmlDevice*) = nullptr;
  int (*memory)(NvmlDevice, NvmlMemory*) = nullptr;
  int (*utilisation)(NvmlDevice, NvmlUtilisation*) = nullptr;
  int (*temperature)(NvmlDevice, int, unsigned int*) = nullptr;
  int (*power)(NvmlDevice, unsigned int*) = nullptr;

  bool LoadAll() {
    return LoadNvml(handle, "nvmlInit_v2", init) && LoadNvml(handle, "nvmlShutdown", shutdown) &&
           LoadNvml(handle, "nvmlDeviceGetHandleByUUID", device) &&
           LoadNvml(handle, "nvmlDeviceGetMemoryInfo", memory) &&
           LoadNvml(handle, "nvmlDeviceGetUtilizationRates", utilisation) &&
           LoadNvml(handle, "nvmlDeviceGetTemperature", temperature) &&
           LoadNvml(handle, "nvmlDeviceGetPowerUsage", power);
  }
};

GpuMonitor::GpuMonitor(std::unique_ptr<Library> library) : library_(std::move(library)) {}

std::unique_ptr<GpuMonitor> GpuMonitor::Open() {
  auto library = std::make_unique<Library>();
  library->handle = dlopen(kNvmlLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library->handle == nullptr) return nullptr;
  if (library->LoadAll() && library->init() == kNvmlSuccess) {
    return std::unique_ptr<GpuMonitor>(new GpuMonitor(std::move(library)));
  }
  dlclose(library->handle);
  return nullptr;
}

GpuMonitor::~GpuMonitor() {
  library_->shutdown();
  dlclose(library_->handle);
}

std::optional<GpuReading> GpuMonitor::Read(const std::string& uuid) const {
  NvmlDevice device = nullptr;
  if (library_->device(uuid.c_str(), &device) != kNvmlSuccess) return std::nullopt;
  GpuReading reading;
  NvmlMemory memory = {};
  NvmlUtilisation utilisation = {};
  unsigned int number = 0;
  if (library_->memory(device, &memory) == kNvmlSuccess) {
    reading.memory_used_bytes = static_cast<int64_t>(memory.used);
  }
  if (library_->utilisation(device, &utilisation) == kNvmlSuccess) {
    reading.utilisation = utilisation.gpu / 100.0;
  }
  if (library_->temperature(device, kGpuTemperature, &number) == kNvmlSuccess) {
    reading.temperature_celsius = number;
  }
  if (library_->power(device, &number) == kNvmlSuccess) reading.power_watts = number / 1000.0;
  return reading;
}

}  // namespace dropbp::agent
