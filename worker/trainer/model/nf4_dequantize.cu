// NF4 (nf4_kernels.h tells the format) to fp32 or bf16 on a GPU. tools/compile_cuda makes PTX of it
// while the program is built; a test compiles it for the CPU and compares bits.

namespace {

// Values of T that are stored at once.
template <typename T>
struct alignas(16) Eight {
  T values[8];
};

// In fp32: two roundings, as on the CPU.
__device__ float ScaleOf(long long block, const float* absmax, const unsigned char* nested_codes,
                         const float* nested_absmax, float offset, const float* dynamic_values) {
  if (absmax != nullptr) return absmax[block];
  const float nested = __fmul_rn(dynamic_values[nested_codes[block]], nested_absmax[block / 256]);
  return __fadd_rn(nested, offset);
}

__device__ void Store(float value, float& to) { to = value; }
// bf16 by its bits: to nearest, ties to even.
__device__ void Store(float value, unsigned short& to) {
  const unsigned bits = __float_as_uint(value);
  to = static_cast<unsigned short>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

// The first element is in the high half of a byte.
__device__ int CodeAt(const unsigned char* codes, long long element) {
  return element % 2 == 0 ? codes[element / 2] >> 4 : codes[element / 2] & 15;
}

// One thread makes the eight elements from a multiple of eight on, as far as they are in
// [begin, end). They share a scale, and their codes are four whole bytes.
template <typename T>
__device__ void Dequantize(const unsigned char* codes, int block_shift, const float* absmax,
                           const unsigned char* nested_codes, const float* nested_absmax,
                           float offset, const float* nf4_values, const float* dynamic_values,
                           long long begin, long long end, T* out) {
  const long long thread = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  const long long first = (begin / 8 + thread) * 8;
  if (first >= end) return;
  const float scale =
      ScaleOf(first >> block_shift, absmax, nested_codes, nested_absmax, offset, dynamic_values);
  T* const target = out + (first - begin);
  const bool whole = first >= begin && first + 8 <= end;
  if (whole && reinterpret_cast<unsigned long long>(target) % sizeof(Eight<T>) == 0) {
    const unsigned four = *reinterpret_cast<const unsigned*>(codes + first / 2);
    Eight<T> eight;
    for (int i = 0; i < 8; ++i) {
      const unsigned code = four >> (i / 2 * 8 + (i % 2 == 0 ? 4 : 0)) & 15;
      Store(__fmul_rn(nf4_values[code], scale), eight.values[i]);
    }
    *reinterpret_cast<Eight<T>*>(target) = eight;
    return;
  }
  for (int i = 0; i < 8; ++i) {
    if (first + i < begin || first + i >= end) continue;
    Store(__fmul_rn(nf4_values[CodeAt(codes, first + i)], scale), target[i]);
  }
}

}  // namespace

#define KERNEL(name, T)                                                                     \
  extern "C" __global__ void name(const unsigned char* codes, int block_shift,              \
                                  const float* absmax, const unsigned char* nested_codes,   \
                                  const float* nested_absmax, float offset,                 \
                                  const float* nf4_values, const float* dynamic_values,     \
                                  long long begin, long long end, T* out) {                 \
    Dequantize(codes, block_shift, absmax, nested_codes, nested_absmax, offset, nf4_values, \
               dynamic_values, begin, end, out);                                            \
  }

KERNEL(DequantizeNf4ToFloat, float)
KERNEL(DequantizeNf4ToBfloat16, unsigned short)
