#include "core/plan/memory_estimate.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "core/plan/mask_plan.h"
#include "core/plan/traffic.h"

namespace dropbp {
namespace {

constexpr int64_t kFloatBytes = 4;

constexpr UnitKind kKinds[] = {UnitKind::kAttention, UnitKind::kMlp};

bool HasAdapter(const JobSpec& spec, std::string_view module) {
  if (spec.method == "full") return false;
  const auto& targets = spec.lora.target_modules;
  return std::any_of(targets.begin(), targets.end(), [&](const std::string& target) {
    return target == "all-linear" || target == module;
  });
}

// Elements by token that the adapters of modules with a common input keep.
int64_t AdapterElements(const JobSpec& spec, const std::vector<LinearShape>& modules) {
  int64_t adapters = 0;
  for (const LinearShape& module : modules) adapters += HasAdapter(spec, module.name) ? 1 : 0;
  if (adapters == 0) return 0;
  return adapters * spec.lora.rank + (spec.lora.dropout > 0 ? modules.front().in : 0);
}

int64_t OutputsOf(const std::vector<LinearShape>& modules) {
  int64_t sum = 0;
  for (const LinearShape& module : modules) sum += module.out;
  return sum;
}

// Bytes by token that a kept unit keeps for its backward pass.
int64_t KeptBytes(UnitKind kind, const ModelShape& shape, const JobSpec& spec,
                  int64_t dtype_bytes) {
  const UnitShape unit = ShapeOfUnit(shape, kind);
  int64_t elements = shape.hidden_size + OutputsOf(unit.inputs) +
                     AdapterElements(spec, unit.inputs) + AdapterElements(spec, {unit.output});
  int64_t floats = 1;
  if (kind == UnitKind::kAttention) {
    elements += unit.output.in;
    floats += shape.attention_heads;
    if (shape.query_key_norms) floats += shape.attention_heads + shape.key_value_heads;
  }
  if (shape.post_norms) {
    elements += shape.hidden_size;
    floats += 1;
  }
  return elements * dtype_bytes + kFloatBytes * floats;
}

int64_t WeightBytes(const ModelShape& shape, const JobSpec& spec, int64_t dtype_bytes) {
  if (spec.method != "full") return ParameterCount(shape) * dtype_bytes;
  // Modules with a common input are joined into one matrix; a matrix of one module in fp32 is its
  // master itself.
  int64_t copied = 0;
  for (UnitKind kind : kKinds) {
    const UnitShape unit = ShapeOfUnit(shape, kind);
    for (const auto& group : {unit.inputs, std::vector<LinearShape>{unit.output}}) {
      if (group.size() == 1 && dtype_bytes == kFloatBytes) continue;
      for (const LinearShape& module : group) copied += module.Elements();
    }
  }
  return shape.layers * copied * dtype_bytes;
}

int64_t ActivationBytes(const ModelShape& shape, const JobSpec& spec, const LayerTable& table,
                        const DropPlan& plan, int64_t dtype_bytes) {
  double by_token = 0;
  // A micro-batch with one nested row may keep all layers; several rows keep the mean between them.
  const bool all = plan.nested() && plan.block.groups == 1 && plan.target > 0;
  for (size_t unit = 0; unit < table.units.size(); ++unit) {
    by_token += (all ? 1 : 1 - plan.DropRate(unit)) *
                static_cast<double>(KeptBytes(table.units[unit].kind, shape, spec, dtype_bytes));
  }
  const int64_t tokens = spec.training.micro_batch_size * spec.dataset.max_length;
  return std::llround(by_token * static_cast<double>(tokens));
}

// Logits exist for a chunk of tokens at a time; the chunks are those of the trainer's
// token_loss.cc.
int64_t HeadBytes(const ModelShape& shape, const JobSpec& spec, const ComputeSite& site) {
  const int64_t chunk_elements = int64_t{1} << (site.cuda ? 28 : 23);
  constexpr int64_t kLeastRows = 64;
  const int64_t tokens = spec.training.micro_batch_size * spec.dataset.max_length;
  const int64_t rows = std::min(tokens, std::max(chunk_elements / shape.vocab_size, kLeastRows));
  const int64_t passing =
      (rows * shape.vocab_size + 2 * tokens * shape.hidden_size) * site.dtype_bytes;
  if (spec.method != "full") return passing;
  const int64_t copy = site.dtype_bytes == kFloatBytes ? 0 : site.dtype_bytes;
  return passing + shape.vocab_size * shape.hidden_size * (2 * kFloatBytes + copy);
}

int64_t ProbeBytes(const ModelShape& shape, const JobSpec& spec, const LayerTable& table,
                   int64_t dtype_bytes) {
  if (!NeedsSensitivities(spec)) return 0;
  int64_t by_token = 0;
  for (const Unit& unit : table.units) by_token += KeptBytes(unit.kind, shape, spec, dtype_bytes);
  const auto units = static_cast<int64_t>(table.units.size());
  const int64_t own_units = (units + spec.resources.ranks - 1) / spec.resources.ranks;
  by_token += own_units * shape.hidden_size * dtype_bytes;
  const int64_t tokens = spec.dropbp.probe_samples * spec.dataset.max_length;
  return tokens * by_token + 2 * kFloatBytes * table.TrainableElements();
}

}  // namespace

int64_t ParameterCount(const ModelShape& shape) {
  int64_t block = 0;
  for (UnitKind kind : kKinds) {
    block += NormElements(shape, kind);
    for (const LinearShape& module : ShapeOfUnit(shape, kind).Linears()) block += module.Elements();
  }
  const int64_t embeddings = shape.tied_embeddings ? 1 : 2;
  return shape.layers * block + embeddings * shape.vocab_size * shape.hidden_size +
         shape.hidden_size;
}

MemoryEstimate EstimateMemory(const ModelShape& shape, const JobSpec& spec, const LayerTable& table,
                              const DropPlan& plan, const ComputeSite& site) {
  const int64_t trained = table.TrainableElements();
  MemoryEstimate estimate;
  estimate.weights = WeightBytes(shape, spec, site.dtype_bytes);
  estimate.trainable = kFloatBytes * trained;
  estimate.optimizer = 2 * kFloatBytes * trained;
  estimate.gradients =
      kFloatBytes * std::llround(ExpectedLiveElements(table, plan, MaskRows(spec)));
  estimate.activations = ActivationBytes(shape, spec, table, plan, site.dtype_bytes);
  estimate.head = HeadBytes(shape, spec, site);
  estimate.probe = ProbeBytes(shape, spec, table, site.dtype_bytes);
  const bool one_micro_step = MicroBatchesPerStep(spec) <= spec.resources.ranks;
  const int64_t step = one_micro_step ? std::max(estimate.activations, estimate.gradients)
                                      : estimate.activations + estimate.gradients;
  estimate.peak = estimate.weights + estimate.trainable + estimate.optimizer + estimate.head +
                  std::max(step, estimate.probe);
  return estimate;
}

}  // namespace dropbp
