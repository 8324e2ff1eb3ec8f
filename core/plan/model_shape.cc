#include "core/plan/model_shape.h"

namespace dropbp {
namespace {

UnitShape AttentionShape(const ModelShape& shape) {
  const int64_t hidden = shape.hidden_size;
  const int64_t queries = shape.attention_heads * shape.head_dim;
  const int64_t keys = shape.key_value_heads * shape.head_dim;
  UnitShape unit{.block = "self_attn",
                 .norm = "input_layernorm",
                 .post_norm = shape.post_norms ? "post_attention_layernorm" : "",
                 .inputs = {},
                 .output = {"o_proj", queries, hidden, shape.attention_output_bias}};
  if (shape.fused_projections) {
    unit.inputs = {{"qkv_proj", hidden, queries + 2 * keys, shape.qkv_bias}};
  } else {
    unit.inputs = {{"q_proj", hidden, queries, shape.qkv_bias},
                   {"k_proj", hidden, keys, shape.qkv_bias},
                   {"v_proj", hidden, keys, shape.qkv_bias}};
  }
  return unit;
}

UnitShape MlpShape(const ModelShape& shape) {
  const int64_t hidden = shape.hidden_size, inner = shape.intermediate_size;
  UnitShape unit{
      .block = "mlp",
      .norm = shape.post_norms ? "pre_feedforward_layernorm" : "post_attention_layernorm",
      .post_norm = shape.post_norms ? "post_feedforward_layernorm" : "",
      .inputs = {},
      .output = {"down_proj", inner, hidden, shape.mlp_bias}};
  if (shape.fused_projections) {
    unit.inputs = {{"gate_up_proj", hidden, 2 * inner, shape.mlp_bias}};
  } else {
    unit.inputs = {{"gate_proj", hidden, inner, shape.mlp_bias},
                   {"up_proj", hidden, inner, shape.mlp_bias}};
  }
  return unit;
}

}  // namespace

std::vector<LinearShape> UnitShape::Linears() const {
  std::vector<LinearShape> all = inputs;
  all.push_back(output);
  return all;
}

std::string ModulePath(int64_t layer, const UnitShape& unit, const LinearShape& module) {
  return "model.layers." + std::to_string(layer) + "." + unit.block + "." + module.name;
}

UnitShape ShapeOfUnit(const ModelShape& shape, UnitKind kind) {
  return kind == UnitKind::kAttention ? AttentionShape(shape) : MlpShape(shape);
}

int64_t NormElements(const ModelShape& shape, UnitKind kind) {
  const bool of_heads = shape.query_key_norms && kind == UnitKind::kAttention;
  return (shape.post_norms ? 2 : 1) * shape.hidden_size + (of_heads ? 2 * shape.head_dim : 0);
}

std::vector<std::string> LinearModules(const ModelShape& shape) {
  std::vector<std::string> names;
  for (UnitKind kind : {UnitKind::kAttention, UnitKind::kMlp}) {
    for (const LinearShape& linear : ShapeOfUnit(shape, kind).Linears())
      names.push_back(linear.name);
  }
  return names;
}

}  // namespace dropbp
