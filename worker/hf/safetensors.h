// The safetensors format: 8-byte little-endian header size, JSON header, data. See docs/formats.md
// for the bounds that a reader holds against hostile files.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "core/base/status.h"

namespace dropbp::hf {

enum class TensorType { kF32, kF16, kBF16, kF64, kI64, kI32, kI16, kI8, kU8, kBool };

// Bytes of one element.
int64_t ElementBytes(TensorType type);

// A tensor inside a mapped file. `data` lives as long as the file.
struct TensorView {
  TensorType type = TensorType::kF32;
  std::vector<int64_t> shape;
  absl::Span<const uint8_t> data;
};

// A memory-mapped safetensors file, checked whole when it is opened: header size, JSON, dtypes,
// shapes, offsets sorted, contiguous and ending at the end of the file, no duplicate names.
// Immutable; safe to share among threads.
class SafetensorsFile {
 public:
  static absl::StatusOr<std::shared_ptr<const SafetensorsFile>> Open(const std::string& path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  SafetensorsFile() = default;
  std::string path_;
  void* mapping_ = nullptr;
  size_t mapped_bytes_ = 0;
  std::map<std::string, TensorView> tensors_;
  std::map<std::string, std::string> metadata_;
};

// All tensors of a model folder: model.safetensors, or the shards of model.safetensors.index.json
// (names checked, each tensor exactly once, files must hold what the index says).
struct ModelTensors {
  std::vector<std::shared_ptr<const SafetensorsFile>> files;
  std::map<std::string, TensorView> tensors;
};
absl::StatusOr<ModelTensors> OpenModelTensors(const std::string& model_dir);

// Writes a file durably and atomically in the reference writer's order (alignment descending, then
// name), header padded to 8 bytes. `tensors` data must match type and shape.
absl::Status WriteSafetensors(const std::string& path,
                              const std::map<std::string, TensorView>& tensors,
                              const std::map<std::string, std::string>& metadata);

}  // namespace dropbp::hf
