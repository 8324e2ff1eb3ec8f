#include "core/plan/tuning.h"

#include <algorithm>
#include <string_view>
#include <vector>

namespace dropbp {
namespace {

bool Contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

int64_t ModuleTuning::TrainableElements(int64_t in, int64_t out) const {
  return (full ? in * out : 0) + rank * (in + out) + (output_factor ? out : 0) +
         (input_factor ? in : 0);
}

int64_t ModuleTuning::ForwardFlops(int64_t in, int64_t out) const {
  return 2 * in * out + 2 * rank * (in + out);
}

int64_t ModuleTuning::BackwardFlops(int64_t in, int64_t out) const {
  return (full ? 4 : 2) * in * out + 4 * rank * (in + out);
}

int64_t ModuleTuning::KeptElements(int64_t out) const { return rank + (output_factor ? out : 0); }

absl::StatusOr<Tuning> Tuning::Make(const JobSpec& spec) {
  ASSIGN_OR_RETURN(LoraTargets targets, LoraTargets::Make(spec.lora));
  return Tuning(spec, std::move(targets));
}

ModuleTuning Tuning::Of(const std::string& module) const {
  if (full()) return {.full = true};
  if (TrainsLora(spec_.method)) {
    const int64_t rank = targets_.Of(module).rank;
    return {.rank = rank, .output_factor = rank > 0 && spec_.lora.use_dora};
  }
  const std::string_view name = std::string_view(module).substr(module.rfind('.') + 1);
  if (spec_.method != "ia3" || !Contains(spec_.ia3.target_modules, name)) return {};
  const bool input = Contains(spec_.ia3.feedforward_modules, name);
  return {.output_factor = !input, .input_factor = input};
}

// Four bits, and a scale by block: 32 bits, or 8 and a share of a scale of 256 scales.
double Tuning::QuantizedBits() const {
  const double scale_bits = spec_.qlora.double_quant ? 8 + 32.0 / 256 : 32;
  return 4 + scale_bits / static_cast<double>(spec_.qlora.block_size);
}

bool Tuning::trains_embedding() const {
  return full() ||
         (TrainsLora(spec_.method) && Contains(spec_.lora.modules_to_save, "embed_tokens"));
}

bool Tuning::trains_head() const {
  return full() || (TrainsLora(spec_.method) && Contains(spec_.lora.modules_to_save, "lm_head"));
}

int64_t Tuning::virtual_tokens() const {
  return spec_.method == "prompt_tuning" ? spec_.prompt_tuning.num_virtual_tokens : 0;
}

}  // namespace dropbp
