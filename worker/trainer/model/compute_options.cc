#include "worker/trainer/model/compute_options.h"

#include <ATen/ATen.h>
#include <torch/cuda.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace dropbp::trainer {
namespace {

// Machines with AMX have AVX512-BF16 as well.
bool HasBf16Products(const at::Device& device) {
#if defined(__x86_64__)
  return !device.is_cpu() || __builtin_cpu_supports("avx512bf16");
#else
  return !device.is_cpu();
#endif
}

}  // namespace

absl::StatusOr<at::Device> ParseDevice(const std::string& name) {
  if (name == "cpu") return at::Device(at::kCPU);
  absl::string_view rest = name;
  int index = 0;
  const bool cuda =
      absl::ConsumePrefix(&rest, "cuda") &&
      (rest.empty() || (absl::ConsumePrefix(&rest, ":") && absl::SimpleAtoi(rest, &index)));
  if (!cuda || index < 0 || index > 127) {
    return absl::InvalidArgumentError(
        absl::StrCat("device is \"", name, "\"; legal are cpu, cuda, cuda:<index>"));
  }
  const int present = static_cast<int>(torch::cuda::device_count());
  if (index >= present) {
    return absl::FailedPreconditionError(absl::StrCat("device is \"", name,
                                                      "\", but this machine has ", present,
                                                      " CUDA devices that LibTorch can use"));
  }
  return at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
}

absl::StatusOr<at::ScalarType> ResolveDtype(const std::string& name, const std::string& model_dtype,
                                            const at::Device& device) {
  if (name == "fp32") return at::kFloat;
  if (name == "bf16") return at::kBFloat16;
  if (name != "auto") {
    return absl::InvalidArgumentError(
        absl::StrCat("dtype is \"", name, "\"; legal are auto, fp32, bf16"));
  }
  const bool half = model_dtype == "bfloat16" || model_dtype == "float16";
  return half && HasBf16Products(device) ? at::kBFloat16 : at::kFloat;
}

}  // namespace dropbp::trainer
