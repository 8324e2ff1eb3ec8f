// Parts of checkpoints: the file itself, and what it says beside parameters and moments, as part of
// a checkpoint that the seeds belong to. Hashes, which keep other files out, are not looked at.
#include <cstdlib>

#include "tests/fuzz/memory_file.h"
#include "worker/trainer/checkpoint/part_state.h"

namespace dropbp::trainer {
namespace {

constexpr int64_t kStep = 12;
constexpr int kRanks = 2;
constexpr int kRank = 0;  // which has all that there is

void Check(const PartState& state) {
  const bool counts = state.totals.tokens >= 0 && state.totals.gradient_bytes_sent >= 0 &&
                      state.totals.gradient_bytes_dense >= 0 && state.plan_version >= 0 &&
                      state.non_finite >= 0;
  const bool evaluations = state.evaluated_step >= 0 && state.evaluated_step <= kStep &&
                           state.best.step >= 0 && state.best.step <= kStep;
  const LossHistory& history = state.history;
  const bool losses = history.losses.size() == static_cast<size_t>(kStep) &&
                      history.validation_steps.size() == history.validation_losses.size();
  if (state.next_step != kStep || !counts || !evaluations || !losses) std::abort();
}

}  // namespace
}  // namespace dropbp::trainer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dropbp::trainer;
  const dropbp::MemoryFile file(data, size);
  const auto opened = dropbp::hf::SafetensorsFile::Open(file.path());
  if (!opened.ok() || !CheckPartVersion(**opened).ok()) return 0;
  dropbp::CheckpointManifest manifest;
  manifest.step = kStep;
  manifest.parts.resize(kRanks);
  const auto state = ReadPartState((*opened)->tensors(), manifest, kRank);
  if (state.ok()) Check(*state);
  return 0;
}
