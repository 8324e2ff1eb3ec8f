#include "core/plan/memory_estimate.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/plan/mask_plan.h"
#include "core/plan/traffic.h"
#include "core/plan/tuning.h"

namespace dropbp {
namespace {

constexpr int64_t kFloatBytes = 4;

constexpr UnitKind kKinds[] = {UnitKind::kAttention, UnitKind::kMlp};

// What the estimate is made from.
struct Inputs {
  const ModelShape& shape;
  const JobSpec& spec;
  const LayerTable& table;
  const Tuning& tuning;
  ComputeSite site;

  // Tokens of a batch of sequences, virtual ones included.
  int64_t Tokens(int64_t sequences) const {
    return sequences * (spec.dataset.max_length + tuning.virtual_tokens());
  }
};

// Elements by token that modules with a common input keep besides it and their outputs.
int64_t TunedElements(const Inputs& in, int64_t layer, const UnitShape& unit,
                      const std::vector<LinearShape>& modules) {
  int64_t elements = 0;
  bool adapters = false;
  for (const LinearShape& module : modules) {
    const ModuleTuning tuning = in.tuning.Of(ModulePath(layer, unit, module));
    elements += tuning.KeptElements(module.out);
    adapters |= tuning.rank > 0;
  }
  return elements + (adapters && in.spec.lora.dropout > 0 ? modules.front().in : 0);
}

int64_t OutputsOf(const std::vector<LinearShape>& modules) {
  int64_t sum = 0;
  for (const LinearShape& module : modules) sum += module.out;
  return sum;
}

// Bytes by token that a kept unit keeps for its backward pass.
int64_t KeptBytes(const Unit& row, const Inputs& in) {
  const ModelShape& shape = in.shape;
  const UnitShape unit = ShapeOfUnit(shape, row.kind);
  int64_t elements = shape.hidden_size + OutputsOf(unit.inputs) +
                     TunedElements(in, row.layer, unit, unit.inputs) +
                     TunedElements(in, row.layer, unit, {unit.output});
  int64_t floats = 1;
  if (row.kind == UnitKind::kAttention) {
    elements += unit.output.in;
    floats += shape.attention_heads;
    if (shape.query_key_norms) floats += shape.attention_heads + shape.key_value_heads;
  }
  if (shape.post_norms) {
    elements += shape.hidden_size;
    floats += 1;
  }
  return elements * in.site.dtype_bytes + kFloatBytes * floats;
}

// Of 4-bit base weights; beside them a block of one group's weight is dense at a time: the
// trainer's linear_weight.cc.
int64_t QuantizedWeightBytes(const Inputs& in) {
  constexpr int64_t kDenseElements = int64_t{1} << 24;
  int64_t linear = 0, largest = 0;
  for (UnitKind kind : kKinds) {
    const UnitShape unit = ShapeOfUnit(in.shape, kind);
    for (const auto& group : {unit.inputs, std::vector<LinearShape>{unit.output}}) {
      const int64_t elements = OutputsOf(group) * group.front().in;
      linear += in.shape.layers * elements;
      largest = std::max(largest, elements);
    }
  }
  const int64_t dense = ParameterCount(in.shape) - linear + std::min(largest, kDenseElements);
  return std::llround(static_cast<double>(linear) * in.tuning.QuantizedBits() / 8) +
         dense * in.site.dtype_bytes;
}

int64_t WeightBytes(const Inputs& in) {
  const ModelShape& shape = in.shape;
  const int64_t dtype_bytes = in.site.dtype_bytes;
  if (in.tuning.quantized()) return QuantizedWeightBytes(in);
  if (!in.tuning.full()) return ParameterCount(shape) * dtype_bytes;
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

// With activation checkpointing, bytes by token: what a kept unit keeps, and what comes on top of
// it during its backward pass.
struct CheckpointedBytes {
  int64_t input = 0;
  int64_t rest = 0;  // of the unit that needs most
};

CheckpointedBytes Checkpointed(const Inputs& in) {
  CheckpointedBytes bytes{.input = in.shape.hidden_size * in.site.dtype_bytes};
  for (const Unit& unit : in.table.units)
    bytes.rest = std::max(bytes.rest, KeptBytes(unit, in) - bytes.input);
  return bytes;
}

double CheckpointedBytesByToken(const Inputs& in, const DropPlan& plan, bool all) {
  const CheckpointedBytes bytes = Checkpointed(in);
  const int groups = MaskGroups(in.spec);
  double units = 0;
  for (size_t unit = 0; unit < in.table.units.size(); ++unit)
    units += all ? 1 : LiveProbability(plan, unit, groups);
  // Of the groups that keep the unit, where not all do.
  const double selected = plan.target > 0 ? 1 - 1.0 / groups : 0;
  return units * static_cast<double>(bytes.input) + static_cast<double>(bytes.rest) +
         selected * static_cast<double>(bytes.input + bytes.rest);
}

int64_t ActivationBytes(const Inputs& in, const DropPlan& plan) {
  double by_token = 0;
  // A micro-batch with one nested row may keep all layers; several rows keep the mean between them.
  const bool all = plan.nested() && plan.block.groups == 1 && plan.target > 0;
  if (in.spec.training.activation_checkpointing) {
    by_token = CheckpointedBytesByToken(in, plan, all);
  } else {
    for (size_t unit = 0; unit < in.table.units.size(); ++unit) {
      by_token += (all ? 1 : 1 - plan.DropRate(unit)) *
                  static_cast<double>(KeptBytes(in.table.units[unit], in));
    }
  }
  return std::llround(by_token * static_cast<double>(in.Tokens(in.spec.training.micro_batch_size)));
}

// Logits exist for a chunk of tokens at a time; the chunks are those of the trainer's
// token_loss.cc.
int64_t HeadBytes(const Inputs& in) {
  const ModelShape& shape = in.shape;
  const int64_t chunk_elements = int64_t{1} << (in.site.cuda ? 28 : 23);
  constexpr int64_t kLeastRows = 64;
  const int64_t tokens = in.Tokens(in.spec.training.micro_batch_size);
  const int64_t rows = std::min(tokens, std::max(chunk_elements / shape.vocab_size, kLeastRows));
  const int64_t passing =
      (rows * shape.vocab_size + 2 * tokens * shape.hidden_size) * in.site.dtype_bytes;
  if (!in.tuning.trains_head()) return passing;
  const int64_t copy = in.site.dtype_bytes == kFloatBytes ? 0 : in.site.dtype_bytes;
  return passing + shape.vocab_size * shape.hidden_size * (2 * kFloatBytes + copy);
}

int64_t ProbeBytes(const Inputs& in) {
  const JobSpec& spec = in.spec;
  if (!NeedsSensitivities(spec)) return 0;
  const auto units = static_cast<int64_t>(in.table.units.size());
  const int64_t own_units = (units + spec.resources.ranks - 1) / spec.resources.ranks;
  int64_t by_token = own_units * in.shape.hidden_size * in.site.dtype_bytes;
  int64_t once = 2 * kFloatBytes * in.table.TrainableElements();
  if (spec.training.activation_checkpointing) {
    const CheckpointedBytes bytes = Checkpointed(in);
    by_token += units * bytes.input;
    once +=
        bytes.rest * in.Tokens(std::min(spec.dropbp.probe_samples, spec.training.micro_batch_size));
  } else {
    for (const Unit& unit : in.table.units) by_token += KeptBytes(unit, in);
  }
  return in.Tokens(spec.dropbp.probe_samples) * by_token + once;
}

// Without samples and prompts there is no evaluation.
int64_t EvaluationBytes(const Inputs& in) {
  const JobSpec& spec = in.spec;
  const ModelShape& shape = in.shape;
  int64_t forward = 0;
  if (!spec.dataset.validation_artifact.empty() || spec.dataset.validation_share > 0) {
    for (UnitKind kind : kKinds) {
      const UnitShape unit = ShapeOfUnit(shape, kind);
      forward = std::max(forward, OutputsOf(unit.inputs) + unit.output.in);
    }
    forward = in.Tokens(spec.training.micro_batch_size) * (forward + 3 * shape.hidden_size);
  }
  const int64_t at_once = std::min<int64_t>(spec.training.micro_batch_size,
                                            static_cast<int64_t>(spec.evaluation.prompts.size()));
  const int64_t cached = 2 * shape.key_value_heads * shape.head_dim * shape.layers;
  const int64_t answers =
      at_once * (spec.evaluation.max_new_tokens + in.tuning.virtual_tokens()) * cached;
  return std::max(forward, answers) * in.site.dtype_bytes;
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
  // The table was made from the same specification.
  const Tuning tuning = Tuning::Make(spec).value();
  const Inputs in{shape, spec, table, tuning, site};
  MemoryEstimate estimate;
  estimate.weights = WeightBytes(in);
  estimate.trainable = kFloatBytes * trained;
  estimate.optimizer = 2 * kFloatBytes * trained;
  estimate.gradients =
      kFloatBytes * std::llround(ExpectedLiveElements(table, plan, MaskRows(spec)));
  estimate.activations = ActivationBytes(in, plan);
  estimate.head = HeadBytes(in);
  estimate.probe = ProbeBytes(in);
  estimate.evaluation = EvaluationBytes(in);
  if (spec.evaluation.result == "best") estimate.best = kFloatBytes * trained;
  const bool one_micro_step = MicroBatchesPerStep(spec) <= spec.resources.ranks;
  const int64_t step = one_micro_step ? std::max(estimate.activations, estimate.gradients)
                                      : estimate.activations + estimate.gradients;
  estimate.peak = estimate.weights + estimate.trainable + estimate.optimizer + estimate.head +
                  std::max({step, estimate.probe, estimate.evaluation}) +
                  (site.cuda ? 0 : estimate.best);
  return estimate;
}

}  // namespace dropbp
