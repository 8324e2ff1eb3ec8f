// Which tensors a decoder needs, so that a model folder can be refused before anything loads it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/hf/model_config.h"
#include "worker/hf/safetensors.h"

namespace dropbp::hf {

// Name -> shape of every tensor that a decoder of this configuration loads.
std::map<std::string, std::vector<int64_t>> DecoderTensors(const ModelConfig& config);

// INVALID_ARGUMENT that names the folder and the tensor unless every tensor of the decoder is there
// with its shape in a floating-point format, and no other weight is.
absl::Status CheckDecoderTensors(const ModelConfig& config, const ModelTensors& model,
                                 const std::string& model_dir);

}  // namespace dropbp::hf
