// safetensors files. Every byte of every tensor must be there.
#include <numeric>

#include "tests/fuzz/memory_file.h"
#include "worker/hf/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const dropbp::MemoryFile file(data, size);
  const auto opened = dropbp::hf::SafetensorsFile::Open(file.path());
  if (!opened.ok()) return 0;
  volatile uint64_t sum = 0;
  for (const auto& [name, tensor] : (*opened)->tensors())
    sum = sum + std::accumulate(tensor.data.begin(), tensor.data.end(), uint64_t{0});
  return 0;
}
