#include "core/base/philox.h"

#include "core/base/check.h"

namespace dropbp {
namespace {

constexpr uint32_t kMultiplier0 = 0xD2511F53u;
constexpr uint32_t kMultiplier1 = 0xCD9E8D57u;
constexpr uint32_t kWeyl0 = 0x9E3779B9u;  // golden ratio
constexpr uint32_t kWeyl1 = 0xBB67AE85u;  // sqrt(3) - 1
constexpr int kRounds = 10;

}  // namespace

PhiloxBlock Philox4x32(uint64_t key, const PhiloxBlock& counter) {
  uint32_t key0 = static_cast<uint32_t>(key);
  uint32_t key1 = static_cast<uint32_t>(key >> 32);
  PhiloxBlock block = counter;
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t product0 = uint64_t{kMultiplier0} * block[0];
    const uint64_t product1 = uint64_t{kMultiplier1} * block[2];
    block = {
        static_cast<uint32_t>(product1 >> 32) ^ block[1] ^ key0, static_cast<uint32_t>(product1),
        static_cast<uint32_t>(product0 >> 32) ^ block[3] ^ key1, static_cast<uint32_t>(product0)};
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return block;
}

PhiloxStream::PhiloxStream(uint64_t key, uint64_t a, uint32_t b)
    : key_(key), counter_{0, static_cast<uint32_t>(a), static_cast<uint32_t>(a >> 32), b} {}

uint32_t PhiloxStream::Next() {
  if (used_ == 4) {
    block_ = Philox4x32(key_, counter_);
    ++counter_[0];
    used_ = 0;
  }
  return block_[used_++];
}

uint32_t PhiloxStream::Below(uint32_t bound) {
  DROPBP_CHECK(bound > 0);
  // Lemire, "Fast Random Integer Generation in an Interval", 2019: the high word of a product, with
  // the few low words that would favour some values rejected.
  uint64_t product = uint64_t{Next()} * bound;
  if (static_cast<uint32_t>(product) < bound) {
    const uint32_t rejected = -bound % bound;
    while (static_cast<uint32_t>(product) < rejected) product = uint64_t{Next()} * bound;
  }
  return static_cast<uint32_t>(product >> 32);
}

float PhiloxStream::Uniform() { return static_cast<float>(Next() >> 8) * 0x1p-24f; }

}  // namespace dropbp
