#include "core/plan/layer_table.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/text.h"
#include "core/plan/tuning.h"

namespace dropbp {
namespace {

// Bounds that keep every sum of the table below 2^63.
constexpr int64_t kMaxLayers = 10'000;
constexpr int64_t kMaxWidth = int64_t{1} << 22;
constexpr int64_t kMaxVocabulary = int64_t{1} << 24;
constexpr int64_t kMaxSequence = int64_t{1} << 20;
constexpr int64_t kMaxRank = int64_t{1} << 20;

absl::Status CheckSize(std::string_view name, int64_t value, int64_t max) {
  if (value >= 1 && value <= max) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("model shape: ", AbslView(name), ": found ", value, ", legal is 1 to ", max));
}

absl::Status CheckShape(const ModelShape& shape, int64_t sequence_length) {
  RETURN_IF_ERROR(CheckSize("layers", shape.layers, kMaxLayers));
  RETURN_IF_ERROR(CheckSize("hidden_size", shape.hidden_size, kMaxWidth));
  RETURN_IF_ERROR(CheckSize("intermediate_size", shape.intermediate_size, kMaxWidth));
  RETURN_IF_ERROR(CheckSize("attention_heads", shape.attention_heads, kMaxWidth));
  RETURN_IF_ERROR(CheckSize("key_value_heads", shape.key_value_heads, shape.attention_heads));
  RETURN_IF_ERROR(CheckSize("head_dim", shape.head_dim, kMaxWidth / shape.attention_heads));
  RETURN_IF_ERROR(CheckSize("vocab_size", shape.vocab_size, kMaxVocabulary));
  if (!shape.windows.empty() && static_cast<int64_t>(shape.windows.size()) != shape.layers) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model shape: windows: found ", shape.windows.size(), ", legal is none or one a layer"));
  }
  return CheckSize("sequence length", sequence_length, kMaxSequence);
}

absl::Status CheckTargets(const JobSpec& spec, const ModelShape& shape) {
  if (!TrainsLora(spec.method)) return absl::OkStatus();
  RETURN_IF_ERROR(CheckSize("lora.rank", spec.lora.rank, kMaxRank));
  if (spec.lora.target_modules == std::vector<std::string>{"all-linear"}) return absl::OkStatus();
  const std::vector<std::string> known = LinearModules(shape);
  for (const std::string& target : spec.lora.target_modules) {
    if (std::find(known.begin(), known.end(), target) == known.end()) {
      return absl::InvalidArgumentError(absl::StrCat("lora.target_modules: found \"", target,
                                                     "\", legal is all-linear alone, or ",
                                                     absl::StrJoin(known, ", ")));
    }
  }
  return absl::OkStatus();
}

Unit MakeUnit(const ModelShape& shape, int64_t layer, UnitKind kind, const Tuning& tuning) {
  Unit unit{.layer = layer, .kind = kind};
  const UnitShape parts = ShapeOfUnit(shape, kind);
  for (const LinearShape& linear : parts.Linears()) {
    const ModuleTuning module = tuning.Of(ModulePath(layer, parts, linear));
    unit.forward_flops += module.ForwardFlops(linear.in, linear.out);
    unit.backward_flops += module.BackwardFlops(linear.in, linear.out);
    unit.trainable_elements += module.TrainableElements(linear.in, linear.out);
    if (tuning.full() && linear.bias) unit.trainable_elements += linear.out;
  }
  if (tuning.full()) unit.trainable_elements += NormElements(shape, kind);
  return unit;
}

// Scores and mix: two products of [T, head_dim] and [head_dim, keys] a head, so 4 * keys * head_dim
// a token.
void AddAttentionCore(const ModelShape& shape, int64_t keys, Unit& unit) {
  const int64_t core = 4 * keys * shape.attention_heads * shape.head_dim;
  unit.forward_flops += core;
  unit.backward_flops += 2 * core;
}

// Elements that are trained outside the units: embedding, head, final norm, virtual tokens. A tied
// head that is trained beside adapters is a tensor of its own.
int64_t FixedTrainableElements(const ModelShape& shape, const Tuning& tuning) {
  const int64_t vocabulary = shape.vocab_size * shape.hidden_size;
  if (tuning.full()) return (shape.tied_embeddings ? 1 : 2) * vocabulary + shape.hidden_size;
  const int64_t saved = (tuning.trains_embedding() ? 1 : 0) + (tuning.trains_head() ? 1 : 0);
  return saved * vocabulary + tuning.virtual_tokens() * shape.hidden_size;
}

// Numbers strata in the order in which they first appear.
void AssignStrata(LayerTable& table) {
  std::vector<const Unit*> first_of;
  for (Unit& unit : table.units) {
    const auto same = std::find_if(first_of.begin(), first_of.end(), [&](const Unit* other) {
      return other->kind == unit.kind && other->backward_flops == unit.backward_flops;
    });
    unit.stratum = static_cast<int>(same - first_of.begin());
    if (same == first_of.end()) first_of.push_back(&unit);
  }
  table.strata = static_cast<int>(first_of.size());
}

}  // namespace

int64_t LayerTable::TotalBackwardFlops() const {
  int64_t total = 0;
  for (const Unit& unit : units) total += unit.backward_flops;
  return total;
}

int64_t LayerTable::TrainableElements() const {
  int64_t total = fixed_trainable_elements;
  for (const Unit& unit : units) total += unit.trainable_elements;
  return total;
}

absl::StatusOr<LayerTable> BuildLayerTable(const ModelShape& shape, const JobSpec& spec,
                                           int64_t sequence_length) {
  RETURN_IF_ERROR(CheckShape(shape, sequence_length));
  RETURN_IF_ERROR(CheckTargets(spec, shape));
  ASSIGN_OR_RETURN(const Tuning tuning, Tuning::Make(spec));
  LayerTable table;
  table.head_forward_flops = 2 * shape.hidden_size * shape.vocab_size;
  table.head_backward_flops = (tuning.trains_head() ? 2 : 1) * table.head_forward_flops;
  table.fixed_trainable_elements = FixedTrainableElements(shape, tuning);
  table.units.reserve(static_cast<size_t>(2 * shape.layers));
  for (int64_t layer = 0; layer < shape.layers; ++layer) {
    table.units.push_back(MakeUnit(shape, layer, UnitKind::kAttention, tuning));
    const int64_t window = shape.Window(layer);
    const int64_t positions = sequence_length + tuning.virtual_tokens();
    AddAttentionCore(shape, window > 0 ? std::min(window, positions) : positions,
                     table.units.back());
    table.units.push_back(MakeUnit(shape, layer, UnitKind::kMlp, tuning));
  }
  AssignStrata(table);
  return table;
}

}  // namespace dropbp
