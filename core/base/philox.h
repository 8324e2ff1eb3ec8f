// Philox 4x32-10 (Salmon et al., SC 2011): a counter-based generator. The same key and counter give
// the same bits on every machine, so nothing has to be stored to draw again.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace dropbp {

using PhiloxBlock = std::array<uint32_t, 4>;

// The 128 random bits of one (key, counter) pair.
PhiloxBlock Philox4x32(uint64_t key, const PhiloxBlock& counter);

// What a job draws from its one seed. The top byte of a stream's `b` is its use, so that no two
// uses share a draw.
inline constexpr uint32_t kMaskStream = 1u << 24;
inline constexpr uint32_t kDataOrderStream = 2u << 24;
inline constexpr uint32_t kInitialWeightsStream = 3u << 24;
inline constexpr uint32_t kDropoutStream = 4u << 24;

// A stream of draws under one (key, stream id a, stream id b): counter = (draw / 4, a low, a high,
// b). At most 2^34 draws. One thread.
class PhiloxStream {
 public:
  PhiloxStream(uint64_t key, uint64_t a, uint32_t b);
  uint32_t Next();
  // Uniform in [0, bound) without bias (rejection); bound > 0.
  uint32_t Below(uint32_t bound);
  // Uniform in [0, 1) with 24 bits.
  float Uniform();

 private:
  uint64_t key_;
  PhiloxBlock counter_;
  PhiloxBlock block_;
  int used_ = 4;
};

// Fisher-Yates: every order of `items` is as likely.
template <typename T>
void Shuffle(PhiloxStream& random, std::vector<T>& items) {
  for (size_t left = items.size(); left > 1; --left) {
    std::swap(items[left - 1], items[random.Below(static_cast<uint32_t>(left))]);
  }
}

}  // namespace dropbp
