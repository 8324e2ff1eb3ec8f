#include "core/base/fnv.h"

namespace dropbp {
namespace {

constexpr uint64_t kPrime = 0x100000001b3ull;

}  // namespace

Fnv1a64& Fnv1a64::Bytes(std::string_view bytes) {
  uint64_t hash = hash_;
  for (unsigned char byte : bytes) hash = (hash ^ byte) * kPrime;
  hash_ = hash;
  return *this;
}

Fnv1a64& Fnv1a64::Number(uint64_t number) {
  for (int shift = 0; shift < 64; shift += 8) {
    hash_ = (hash_ ^ ((number >> shift) & 0xff)) * kPrime;
  }
  return *this;
}

}  // namespace dropbp
