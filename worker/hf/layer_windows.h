// Which layers attend within a sliding window, and which rotate their heads.
#pragma once

#include <cstdint>
#include <vector>

#include "worker/hf/config_fields.h"
#include "worker/hf/model_family.h"

namespace dropbp::hf {

// By layer: positions that one attends to, itself included; 0: all before it. Empty if that is so
// everywhere. Failures are left in `fields`.
std::vector<int64_t> ReadWindows(const ModelFamily& family, int64_t layers, ConfigFields& fields);

// By layer, whether heads are rotated (SmolLM3's no_rope_layers, where 1 means that they are);
// empty if all layers do.
std::vector<bool> ReadRotatedLayers(const ModelFamily& family, int64_t layers,
                                    ConfigFields& fields);

}  // namespace dropbp::hf
