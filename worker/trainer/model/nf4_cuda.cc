#include "worker/trainer/model/nf4_cuda.h"

#include <c10/util/Exception.h>

#ifdef DROPBP_CUDA
#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda.h>
#include <dlfcn.h>

#include <bit>
#include <map>
#include <mutex>

#include "core/base/check.h"
#include "nf4_dequantize_ptx.h"
#endif

namespace dropbp::trainer {

#ifdef DROPBP_CUDA
namespace {

constexpr int kThreads = 256;
constexpr int64_t kElementsOfThread = 8;
static_assert(cpu::kNestedBlock == 256, "as nf4_dequantize.cu has it");

// The driver's functions by name: its library comes with it, so a machine without GPUs has none.
class Driver {
 public:
  static const Driver& Get() {
    static const auto& driver = *new Driver;
    return driver;
  }

  decltype(&cuModuleLoadData) module_load_data;
  decltype(&cuModuleGetFunction) module_get_function;
  decltype(&cuLaunchKernel) launch_kernel;

  void Check(CUresult result, const char* what) const {
    if (result == CUDA_SUCCESS) return;
    const char* text = nullptr;
    get_error_string_(result, &text);
    C10_THROW_ERROR(Error, std::string("NF4 kernel, ") + what + ": " +
                               (text == nullptr ? "unknown error" : text));
  }

 private:
  Driver() {
    library_ = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library_ == nullptr) C10_THROW_ERROR(Error, std::string("CUDA's driver: ") + dlerror());
    Find("cuModuleLoadData", module_load_data);
    Find("cuModuleGetFunction", module_get_function);
    Find("cuLaunchKernel", launch_kernel);
    Find("cuGetErrorString", get_error_string_);
  }

  template <typename Function>
  void Find(const char* name, Function& function) {
    function = reinterpret_cast<Function>(dlsym(library_, name));
    if (function == nullptr) C10_THROW_ERROR(Error, std::string("CUDA's driver lacks ") + name);
  }

  void* library_;
  decltype(&cuGetErrorString) get_error_string_;
};

// What a device needs once; never unloaded, since the driver may end before statics do.
struct DeviceKernels {
  CUfunction to_float = nullptr;
  CUfunction to_bfloat16 = nullptr;
  at::Tensor nf4_values;
  at::Tensor dynamic_values;
};

at::Tensor TableOn(const at::Device& device, const float* values, int64_t count) {
  return at::from_blob(const_cast<float*>(values), {count}, at::kFloat).to(device);
}

DeviceKernels Load(const at::Device& device) {
  const Driver& driver = Driver::Get();
  DeviceKernels kernels{.nf4_values = TableOn(device, cpu::kNf4Values, 16),
                        .dynamic_values = TableOn(device, cpu::DynamicValues(), 256)};
  CUmodule module;
  driver.Check(driver.module_load_data(&module, kNf4DequantizePtx), "loading");
  driver.Check(driver.module_get_function(&kernels.to_float, module, "DequantizeNf4ToFloat"),
               "finding");
  driver.Check(driver.module_get_function(&kernels.to_bfloat16, module, "DequantizeNf4ToBfloat16"),
               "finding");
  return kernels;
}

// The device is the current one.
const DeviceKernels& KernelsOf(const at::Device& device) {
  static auto& mutex = *new std::mutex;
  static auto& loaded = *new std::map<int, DeviceKernels>;
  const std::lock_guard lock(mutex);
  const auto found = loaded.find(device.index());
  if (found != loaded.end()) return found->second;
  return loaded.emplace(device.index(), Load(device)).first->second;
}

}  // namespace

void DequantizeNf4OnCuda(const cpu::Nf4View& view, int64_t begin, int64_t end,
                         const at::Tensor& target) {
  if (begin == end) return;
  const bool is_float = target.scalar_type() == at::kFloat;
  DROPBP_CHECK(is_float || target.scalar_type() == at::kBFloat16);
  DROPBP_CHECK(std::has_single_bit(static_cast<uint64_t>(view.block_size)));
  const c10::DeviceGuard guard(target.device());
  const DeviceKernels& kernels = KernelsOf(target.device());
  // In the order of the kernel's parameters.
  const void* codes = view.codes;
  int block_shift = std::countr_zero(static_cast<uint64_t>(view.block_size));
  const void* absmax = view.absmax;
  const void* nested_codes = view.nested_codes;
  const void* nested_absmax = view.nested_absmax;
  float offset = view.offset;
  const void* nf4_values = kernels.nf4_values.const_data_ptr();
  const void* dynamic_values = kernels.dynamic_values.const_data_ptr();
  long long first = begin, last = end;
  void* out = target.mutable_data_ptr();
  void* parameters[] = {&codes,         &block_shift, &absmax,     &nested_codes,
                        &nested_absmax, &offset,      &nf4_values, &dynamic_values,
                        &first,         &last,        &out};
  const int64_t threads =
      (end + kElementsOfThread - 1) / kElementsOfThread - begin / kElementsOfThread;
  const auto blocks = static_cast<unsigned>((threads + kThreads - 1) / kThreads);
  const Driver& driver = Driver::Get();
  driver.Check(driver.launch_kernel(is_float ? kernels.to_float : kernels.to_bfloat16, blocks, 1, 1,
                                    kThreads, 1, 1, 0, c10::cuda::getCurrentCUDAStream().stream(),
                                    parameters, nullptr),
               "launching");
}
#else
void DequantizeNf4OnCuda(const cpu::Nf4View&, int64_t, int64_t, const at::Tensor&) {
  C10_THROW_ERROR(NotImplementedError, "this build has no CUDA");
}
#endif

}  // namespace dropbp::trainer
