// Linear modules that read the same input, run as one product: their weights lie in one matrix,
// their adapters' A too.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace dropbp::trainer {

// One module of a group, for example q_proj: rows [offset, offset + out) of the group's matrix.
struct LinearModule {
  std::string name;  // "model.layers.0.self_attn.q_proj"
  int64_t offset = 0;
  int64_t out = 0;
  at::Tensor lora_a;       // fp32 leaf [rank, in]; undefined: no adapter
  at::Tensor lora_b;       // fp32 leaf [out, rank]
  at::Tensor master;       // fp32 leaf [out, in]; undefined: frozen
  at::Tensor master_bias;  // fp32 leaf [out]
};

// What an adapter does with its input's elements while training.
struct AdapterSettings {
  double scaling = 1;  // alpha / rank
  double dropout = 0;
};

// What a forward pass leaves for its backward pass, besides the input.
struct LinearTape {
  at::Tensor down;          // [rows, sum of ranks]: input times A^T
  at::Tensor dropout_mask;  // as the input, 0 or 1 / (1 - dropout); undefined: none
};

// Gradients of a group: of the input, and of `parameters()` in order, fp32.
struct LinearGrads {
  at::Tensor input;
  std::vector<at::Tensor> parameters;
};

// Not thread-safe. Each forward pass converts masters and adapters to the compute dtype anew; they
// must not change between it and its backward pass.
class LinearGroup {
 public:
  // weight: [sum of out, in] in the compute dtype; bias [sum of out] or undefined. With master
  // leaves, `weight` and `bias` are made from them and may be undefined here.
  LinearGroup(std::vector<LinearModule> modules, at::Tensor weight, at::Tensor bias,
              AdapterSettings adapter, at::ScalarType dtype);

  // x: [rows, in] -> [rows, sum of out]. Fills `tape` if not null. Modules that share the input
  // share the dropout mask.
  at::Tensor Forward(const at::Tensor& x, const at::Generator* dropout, LinearTape* tape);

  LinearGrads Backward(const LinearTape& tape, const at::Tensor& x, const at::Tensor& dy,
                       bool input_needed) const;

  // Leaves, module by module: lora_a, lora_b, or master, master_bias.
  const std::vector<at::Tensor>& parameters() const { return parameters_; }
  const std::vector<LinearModule>& modules() const { return modules_; }
  // Whether Backward reads x and tape.
  bool has_parameters() const { return !parameters_.empty(); }

 private:
  void ConvertLeaves();
  void AddAdapters(const at::Tensor& x, const at::Generator* dropout, LinearTape* tape,
                   at::Tensor& y) const;
  void AdapterGrads(const LinearTape& tape, const at::Tensor& x, const at::Tensor& dy,
                    LinearGrads& grads) const;
  void MasterGrads(const at::Tensor& x, const at::Tensor& dy, LinearGrads& grads) const;

  std::vector<LinearModule> modules_;
  std::vector<at::Tensor> parameters_;
  at::Tensor weight_;
  at::Tensor bias_;
  AdapterSettings adapter_;
  at::ScalarType dtype_;
  bool has_adapters_ = false;
  bool has_masters_ = false;
  at::Tensor a_;               // [sum of ranks, in], compute dtype
  std::vector<at::Tensor> b_;  // [out, rank] by module with an adapter, compute dtype
};

}  // namespace dropbp::trainer
