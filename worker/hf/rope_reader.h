// Reads rotary positions from config.json: rope_theta and rope_scaling (transformers 4), or
// rope_parameters (5).
#pragma once

#include <cstdint>
#include <vector>

#include "worker/hf/config_fields.h"
#include "worker/hf/model_family.h"
#include "worker/hf/rope_config.h"

namespace dropbp::hf {

// All sets of a model: one; or, where windowed layers have their own, that of full attention first
// and theirs second. Failures are left in `fields`, the reader of the whole config.json.
std::vector<RopeConfig> ReadRopes(const ModelFamily& family, int64_t head_dim,
                                  int64_t max_positions, ConfigFields& fields);

}  // namespace dropbp::hf
