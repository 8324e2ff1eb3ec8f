#include "worker/trainer/model/nf4.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "core/base/check.h"
#include "worker/trainer/model/nf4_cuda.h"

namespace dropbp::trainer {
namespace {

constexpr int64_t kElementsAtOnce = 1 << 16;

// The mean in one order of additions, so that all ranks quantise alike, whatever their threads.
float MeanOnOneThread(const at::Tensor& values) {
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const float mean = values.mean().item<float>();
  at::set_num_threads(threads);
  return mean;
}

template <typename T>
T* DataOf(at::Tensor& tensor) {
  return static_cast<T*>(tensor.mutable_data_ptr());
}

}  // namespace

Nf4Matrix Nf4Matrix::Quantize(const at::Tensor& weight, const QloraSpec& options,
                              at::Device device) {
  DROPBP_CHECK(weight.is_cpu() && weight.scalar_type() == at::kFloat && weight.is_contiguous());
  Nf4Matrix matrix;
  matrix.rows_ = weight.size(0);
  matrix.width_ = weight.size(1);
  matrix.block_size_ = options.block_size;
  const int64_t count = weight.numel();
  const int64_t blocks = (count + options.block_size - 1) / options.block_size;
  matrix.codes_ = at::empty({(count + 1) / 2}, at::kByte);
  matrix.absmax_ = at::empty({blocks}, at::kFloat);
  const cpu::Nf4Args args{weight.const_data_ptr<float>(), count, options.block_size,
                          DataOf<uint8_t>(matrix.codes_), DataOf<float>(matrix.absmax_)};
  at::parallel_for(0, blocks, kElementsAtOnce / options.block_size,
                   [&](int64_t begin, int64_t end) { cpu::QuantizeNf4(args, begin, end); });
  if (options.double_quant) matrix.QuantizeScales();
  for (at::Tensor* part :
       {&matrix.codes_, &matrix.absmax_, &matrix.nested_codes_, &matrix.nested_absmax_}) {
    if (part->defined()) *part = part->to(device);
  }
  return matrix;
}

void Nf4Matrix::QuantizeScales() {
  offset_ = MeanOnOneThread(absmax_);
  const at::Tensor centred = absmax_ - offset_;
  const int64_t blocks = centred.numel();
  nested_codes_ = at::empty({blocks}, at::kByte);
  nested_absmax_ = at::empty({(blocks + cpu::kNestedBlock - 1) / cpu::kNestedBlock}, at::kFloat);
  cpu::QuantizeNested({centred.const_data_ptr<float>(), blocks, DataOf<uint8_t>(nested_codes_),
                       DataOf<float>(nested_absmax_)});
  absmax_ = at::Tensor();
}

int64_t Nf4Matrix::bytes() const {
  int64_t sum = 0;
  for (const at::Tensor& part : {codes_, absmax_, nested_codes_, nested_absmax_}) {
    if (part.defined()) sum += static_cast<int64_t>(part.nbytes());
  }
  return sum;
}

cpu::Nf4View Nf4Matrix::View() const {
  const bool nested = nested_codes_.defined();
  return {codes_.const_data_ptr<uint8_t>(),
          block_size_,
          nested ? nullptr : absmax_.const_data_ptr<float>(),
          nested ? nested_codes_.const_data_ptr<uint8_t>() : nullptr,
          nested ? nested_absmax_.const_data_ptr<float>() : nullptr,
          offset_};
}

void Nf4Matrix::DequantizeRows(int64_t begin, int64_t end, at::Tensor target) const {
  DROPBP_CHECK(target.is_contiguous() && target.numel() == (end - begin) * width_);
  const int64_t first = begin * width_;
  if (!target.is_cpu()) return DequantizeNf4OnCuda(View(), first, end * width_, target);
  const bool is_float = target.scalar_type() == at::kFloat;
  DROPBP_CHECK(is_float || target.scalar_type() == at::kBFloat16);
  at::parallel_for(
      first, end * width_, kElementsAtOnce, [&, view = View()](int64_t from, int64_t to) {
        if (is_float) {
          cpu::DequantizeNf4(view, from, to, DataOf<float>(target) + (from - first));
        } else {
          cpu::DequantizeNf4(view, from, to, DataOf<cpu::Bf16>(target) + (from - first));
        }
      });
}

}  // namespace dropbp::trainer
