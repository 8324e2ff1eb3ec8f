// Names of devices and dtypes -> what torch knows them by.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <string>

#include "core/base/status.h"

namespace dropbp::trainer {

// "cpu", "cuda" or "cuda:<index>". INVALID_ARGUMENT for another name, FAILED_PRECONDITION if there
// is no such device.
absl::StatusOr<at::Device> ParseDevice(const std::string& name);

// "fp32" | "bf16" | "auto": the dtype that the model's config.json names (float16 becomes bf16),
// but fp32 where the processor has no bf16 products and would only emulate them. Empty
// `model_dtype` counts as float32.
absl::StatusOr<at::ScalarType> ResolveDtype(const std::string& name, const std::string& model_dtype,
                                            const at::Device& device);

}  // namespace dropbp::trainer
