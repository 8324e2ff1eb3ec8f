// Keys and values of earlier positions, for generation.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <vector>

#include "worker/trainer/model/causal_attention.h"

namespace dropbp::trainer {

// Prompts of one batch end at the same column: shorter ones begin with padding columns, which no
// other column sees. Not thread-safe. Use: Begin(), then Attend() once a layer, for each forward
// pass.
class KvCache {
 public:
  struct Shape {
    int64_t layers = 0;
    int64_t batch = 0;
    int64_t kv_heads = 0;
    int64_t capacity = 0;  // columns
    int64_t head_dim = 0;
  };
  // padding: int64 [batch], columns of padding at the left of each sequence.
  KvCache(const Shape& shape, at::Tensor padding, at::TensorOptions options);

  // Opens `columns` new columns. Returns their positions, int64 [batch, columns]: column minus
  // padding, at least 0.
  at::Tensor Begin(int64_t columns);

  // Stores keys and values of the new columns and attends to all columns so far, or to those within
  // the window of `dims`. Returns [batch * columns, heads * head_dim].
  at::Tensor Attend(int64_t layer, const QkvViews& qkv, const AttentionDims& dims);

  int64_t length() const { return length_; }
  const at::Tensor& padding() const { return padding_; }  // int64 [batch, 1]
  int64_t capacity() const { return capacity_; }

 private:
  // bool [batch, 1, columns, length]: which columns the new ones see.
  const at::Tensor& Visible(int64_t window);

  int64_t capacity_;
  int64_t length_ = 0;
  int64_t columns_ = 0;                    // of the pass under way
  at::Tensor padding_;                     // [batch, 1]
  std::map<int64_t, at::Tensor> visible_;  // by window, 0: none; of the pass under way
  std::vector<at::Tensor> keys_;           // [batch, kv_heads, capacity, head_dim]
  std::vector<at::Tensor> values_;
};

}  // namespace dropbp::trainer
