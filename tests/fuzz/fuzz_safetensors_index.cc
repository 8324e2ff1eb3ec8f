// model.safetensors.index.json beside two whole shards, a.safetensors and b.safetensors.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "worker/hf/safetensors.h"

namespace {

class ModelFolder {
 public:
  ModelFolder() {
    std::string name = std::filesystem::temp_directory_path() / "dropbp-fuzz-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
    const std::vector<uint8_t> bytes(8, 1);
    for (const char* shard : {"a", "b"}) {
      const dropbp::hf::TensorView tensor{dropbp::hf::TensorType::kF32, {2}, bytes};
      const auto written = dropbp::hf::WriteSafetensors(path_ + "/" + shard + ".safetensors",
                                                        {{std::string("t") + shard, tensor}}, {});
      if (!written.ok()) std::abort();
    }
  }
  ~ModelFolder() { std::filesystem::remove_all(path_); }

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const ModelFolder folder;
  std::ofstream(folder.path() + "/model.safetensors.index.json", std::ios::binary)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  (void)dropbp::hf::OpenModelTensors(folder.path()).ok();
  return 0;
}
