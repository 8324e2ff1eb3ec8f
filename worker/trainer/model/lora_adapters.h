// The low-rank adapters of linear modules that read the same input: y += scaling B A x, with one
// product for all A.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <vector>

#include "worker/trainer/model/linear_module.h"

namespace dropbp::trainer {

// What a forward pass leaves for its backward pass, besides the input.
struct LoraTape {
  at::Tensor down;          // [rows, sum of ranks]: input times A^T
  at::Tensor dropout_mask;  // as the input, 0 or 1 / (1 - dropout); undefined: none
};

// Gradients of one module's A and B, fp32.
struct LoraGrads {
  at::Tensor a;
  at::Tensor b;
};

// Not thread-safe.
class LoraAdapters {
 public:
  // Modules without lora_a have no adapter. `dropout` is the probability that an element of the
  // adapters' input is left out while training.
  LoraAdapters(const std::vector<LinearModule>& modules, double dropout, at::ScalarType dtype);

  bool empty() const { return modules_.empty(); }

  // Converts the leaves to the compute dtype. They must not change between this and the passes that
  // follow.
  void Convert();

  // All A, [sum of ranks, in], in the compute dtype; and the first of a module's rows in it.
  const at::Tensor& a() const { return a_; }
  int64_t RowOf(const LinearModule& module) const;

  // What they keep of x, [rows, in]. Modules share the dropout mask; `generator` null: no dropout.
  LoraTape Down(const at::Tensor& x, const at::Generator* generator) const;

  // Adds their outputs for x to y, [rows, sum of out of the group]. Fills `tape` with Down() of x
  // if not null.
  void AddTo(at::Tensor& y, const at::Tensor& x, const at::Generator* generator,
             LoraTape* tape) const;

  // dy: cotangent of y. Adds to `dx` if it is defined; gives the leaves' gradients, by adapter.
  std::vector<LoraGrads> Backward(const LoraTape& tape, const at::Tensor& x, const at::Tensor& dy,
                                  at::Tensor& dx) const;

 private:
  std::vector<LinearModule> modules_;  // with adapters
  double dropout_;
  at::ScalarType dtype_;
  at::Tensor a_;               // [sum of ranks, in], compute dtype
  std::vector<at::Tensor> b_;  // [out, rank] by adapter, compute dtype
};

}  // namespace dropbp::trainer
