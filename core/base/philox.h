// Philox 4x32-10 (Salmon et al., SC 2011): a counter-based generator. The same key and counter give the same bits on
// every machine, so nothing has to be stored to draw again.
#pragma once

#include <array>
#include <cstdint>

namespace dropbp {

using PhiloxBlock = std::array<uint32_t, 4>;

// The 128 random bits of one (key, counter) pair.
PhiloxBlock Philox4x32(uint64_t key, const PhiloxBlock& counter);

// A stream of draws under one (key, stream id a, stream id b): counter = (draw / 4, a low, a high, b).
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

}  // namespace dropbp
