#include "worker/hf/rope_reader.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"

namespace dropbp::hf {
namespace {

using nlohmann::json;

constexpr char kFull[] = "full_attention";
constexpr char kSliding[] = "sliding_attention";

// What the reader of one set needs to know of the model around it.
struct Surroundings {
  const ModelFamily& family;
  int64_t head_dim;
  int64_t max_positions;
  double theta;           // if the set does not say
  double partial_factor;  // likewise
  const ConfigFields& config;
};

std::string TypeOf(ConfigFields& rope) {
  std::string type = rope.Text("rope_type", rope.Text("type", "default"));
  return type == "su" ? "longrope" : type;  // the name of Phi-3's first files
}

// A value beside the set wins over one inside.
double OriginalPositions(const Surroundings& around, ConfigFields& rope) {
  constexpr char kName[] = "original_max_position_embeddings";
  if (const json* outside = around.config.Find(kName);
      outside != nullptr && outside->is_number() && outside->get<double>() > 0) {
    return outside->get<double>();
  }
  const int64_t of_class = around.family.original_max_position_embeddings;
  if (of_class > 0) return static_cast<double>(of_class);
  return rope.Positive(kName, static_cast<double>(around.max_positions));
}

void ReadLlama3(const Surroundings& around, ConfigFields& rope, RopeConfig& result) {
  result.factor = rope.NeededPositive("factor");
  result.low_freq_factor = rope.NeededPositive("low_freq_factor");
  result.high_freq_factor = rope.NeededPositive("high_freq_factor");
  result.original_positions = OriginalPositions(around, rope);
  if (rope.status().ok() && result.high_freq_factor <= result.low_freq_factor) {
    rope.Fail("high_freq_factor", *rope.Find("high_freq_factor"), "a number above low_freq_factor");
  }
}

void ReadLongRope(const Surroundings& around, ConfigFields& rope, RopeConfig& result) {
  const auto pairs = static_cast<size_t>(result.rotary_dim / 2);
  result.short_factors = rope.Positives("short_factor", pairs);
  result.long_factors = rope.Positives("long_factor", pairs);
  if (result.short_factors.empty() || result.long_factors.empty())
    rope.Fail("short_factor or long_factor is missing");
  result.original_positions = OriginalPositions(around, rope);
  if (result.original_positions < 2) {
    rope.Fail("original_max_position_embeddings", json(result.original_positions),
              "a number from 2");
  }
  const double stretch = rope.Positive(
      "factor", static_cast<double>(around.max_positions) / result.original_positions);
  const double fitting =
      stretch <= 1 ? 1 : std::sqrt(1 + std::log(stretch) / std::log(result.original_positions));
  result.attention_factor = rope.Positive("attention_factor", fitting);
}

int64_t RotaryDim(const Surroundings& around, ConfigFields& rope) {
  if (!around.family.partial_rotary) {
    rope.Only("partial_rotary_factor", 1.0);
    return around.head_dim;
  }
  const double part = rope.Positive("partial_rotary_factor", around.partial_factor);
  const auto dim = static_cast<int64_t>(static_cast<double>(around.head_dim) * part);
  if (part > 1 || dim < 2 || dim % 2 != 0) {
    rope.Fail(absl::StrCat("partial_rotary_factor ", part, " turns ", dim,
                           " elements of each head; supported: an even number from 2 to head_dim ",
                           around.head_dim));
  }
  return dim;
}

RopeConfig ReadSet(const json& object, const std::string& path, const Surroundings& around,
                   ConfigFields& config) {
  ConfigFields rope(object, path);
  RopeConfig result;
  result.theta = rope.Positive("rope_theta", around.theta);
  result.rotary_dim = RotaryDim(around, rope);
  result.type = TypeOf(rope);
  if (result.type == "linear") {
    result.factor = rope.NeededPositive("factor");
  } else if (result.type == "llama3") {
    ReadLlama3(around, rope, result);
  } else if (result.type == "longrope") {
    ReadLongRope(around, rope, result);
  } else if (result.type != "default") {
    rope.Fail(rope.Find("rope_type") != nullptr ? "rope_type" : "type", json(result.type),
              "default, linear, llama3, longrope");
  }
  config.FailAs(rope.status());
  return result;
}

// The object of one name; an empty one if it is missing or null.
const json& ObjectOf(const char* name, ConfigFields& fields) {
  static const json* empty = new json(json::object());
  const json* value = fields.Find(name);
  if (value == nullptr) return *empty;
  if (value->is_object()) return *value;
  fields.Fail(name, *value, "an object or null");
  return *empty;
}

bool IsByLayerType(const json& object) {
  return object.contains(kFull) || object.contains(kSliding);
}

// transformers 4: rope_theta and rope_scaling for full attention, rope_local_base_freq for windows.
// 5: rope_parameters {full_attention: {...}, sliding_attention: {...}}.
std::vector<RopeConfig> ReadRopesByLayerType(const json& scaling, const json& parameters,
                                             Surroundings around, ConfigFields& fields) {
  if (!parameters.empty() && !IsByLayerType(parameters)) {
    fields.Fail("rope_parameters", parameters,
                "an object with full_attention and sliding_attention");
  }
  if (!parameters.empty() && !scaling.empty())
    fields.Fail("rope_scaling", scaling, "null beside rope_parameters");
  ConfigFields by_type(parameters, "rope_parameters.");
  const json& full = parameters.empty() ? scaling : ObjectOf(kFull, by_type);
  const json& sliding = ObjectOf(kSliding, by_type);
  fields.FailAs(by_type.status());
  const std::string path = parameters.empty() ? "rope_scaling." : "rope_parameters.full_attention.";
  std::vector<RopeConfig> ropes = {ReadSet(full, path, around, fields)};
  around.theta = fields.Positive("rope_local_base_freq", 10000);
  ropes.push_back(ReadSet(sliding, "rope_parameters.sliding_attention.", around, fields));
  return ropes;
}

}  // namespace

std::vector<RopeConfig> ReadRopes(const ModelFamily& family, int64_t head_dim,
                                  int64_t max_positions, ConfigFields& fields) {
  if (!family.partial_rotary) fields.Only("partial_rotary_factor", 1.0);
  fields.Positive("original_max_position_embeddings", 1);
  const Surroundings around{family,
                            head_dim,
                            max_positions,
                            fields.Positive("rope_theta", family.rope_theta),
                            fields.Positive("partial_rotary_factor", 1),
                            fields};
  const json& scaling = ObjectOf("rope_scaling", fields);
  const json& parameters = ObjectOf("rope_parameters", fields);
  if (family.rope_by_layer_type) return ReadRopesByLayerType(scaling, parameters, around, fields);
  if (IsByLayerType(parameters)) {
    fields.Fail("rope_parameters", parameters, "one object for all layers");
  }
  // transformers takes rope_scaling where a file has both.
  const bool old = !scaling.empty();
  return {ReadSet(old ? scaling : parameters, old ? "rope_scaling." : "rope_parameters.", around,
                  fields)};
}

}  // namespace dropbp::hf
