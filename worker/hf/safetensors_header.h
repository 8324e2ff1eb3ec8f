// The JSON header of a safetensors file, parsed event by event: a document tree would keep one of
// two equal keys without a word.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "worker/hf/safetensors.h"

namespace dropbp::hf {

inline constexpr uint64_t kMaxHeaderBytes = 100'000'000;
inline constexpr size_t kMaxTensors = 1'000'000;
inline constexpr size_t kMaxRank = 8;
inline constexpr size_t kMaxNameBytes = 1024;

// One entry of the header. Offsets count from the first byte after the header.
struct TensorEntry {
  std::string name;
  TensorType type = TensorType::kF32;
  std::vector<int64_t> shape;
  uint64_t begin = 0;
  uint64_t end = 0;
};

struct SafetensorsHeader {
  std::vector<TensorEntry> tensors;  // in the order of their data
  std::map<std::string, std::string> metadata;
};

// Parses and checks a header whose data takes `data_bytes`: every tensor's bytes equal its shape,
// and the tensors cover the data from 0 to the end without a hole or an overlap. INVALID_ARGUMENT
// names the tensor and the rule.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(std::string_view json,
                                                         uint64_t data_bytes);

// The name that the format gives a type, for example "BF16".
const char* TensorTypeName(TensorType type);

// Bytes of a tensor; -1 if the product does not fit in 63 bits.
int64_t TensorBytes(TensorType type, const std::vector<int64_t>& shape);

}  // namespace dropbp::hf
