// Shapes of a decoder, from its config.json: all that costs, memory and the names of its weights
// depend on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dropbp {

// Fields after tied_embeddings are what families differ in; unset, they describe Llama.
struct ModelShape {
  std::string model_type = {};
  int64_t layers = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t attention_heads = 0;
  int64_t key_value_heads = 0;
  int64_t head_dim = 0;
  int64_t vocab_size = 0;
  bool tied_embeddings = false;
  bool fused_projections = false;      // qkv_proj and gate_up_proj in place of five modules (Phi-3)
  bool qkv_bias = false;               // of q_proj, k_proj and v_proj
  bool attention_output_bias = false;  // of o_proj
  bool mlp_bias = false;
  bool query_key_norms = false;  // an RMSNorm over each head of queries and of keys
  bool post_norms = false;       // an RMSNorm at the end of each branch (Gemma)
  // By layer, how many positions one attends to, itself included; 0: all before it. Empty: all 0.
  std::vector<int64_t> windows = {};

  int64_t Window(int64_t layer) const { return windows.empty() ? 0 : windows[layer]; }
};

enum class UnitKind { kAttention = 1, kMlp = 2 };

// A linear module of a decoder block.
struct LinearShape {
  std::string name;  // "q_proj"
  int64_t in = 0;
  int64_t out = 0;
  bool bias = false;

  int64_t Elements() const { return in * out + (bias ? out : 0); }
};

// What one droppable unit is made of. Modules of a unit are named
// "model.layers.<layer>.<block>.<module>", its norms over the hidden state
// "model.layers.<layer>.<norm>".
struct UnitShape {
  std::string block;                // "self_attn" or "mlp"
  std::string norm;                 // at the branch's beginning
  std::string post_norm;            // at its end; empty: none
  std::vector<LinearShape> inputs;  // read the normed input; run as one product
  LinearShape output;

  std::vector<LinearShape> Linears() const;  // inputs, then output
};

// "model.layers.0.self_attn.q_proj".
std::string ModulePath(int64_t layer, const UnitShape& unit, const LinearShape& module);

UnitShape ShapeOfUnit(const ModelShape& shape, UnitKind kind);

// Elements of a unit's norms.
int64_t NormElements(const ModelShape& shape, UnitKind kind);

// Names of all linear modules of a block: what all-linear stands for.
std::vector<std::string> LinearModules(const ModelShape& shape);

// Those of any family.
inline constexpr const char* kLinearModules[] = {"q_proj",   "k_proj",       "v_proj",
                                                 "qkv_proj", "o_proj",       "gate_proj",
                                                 "up_proj",  "gate_up_proj", "down_proj"};

}  // namespace dropbp
