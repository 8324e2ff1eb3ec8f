// FNV-1a, 64 bits (Fowler, Noll, Vo): a fast check that two sides hold the same bytes. Not for
// hostile input.
#pragma once

#include <cstdint>
#include <string_view>

namespace dropbp {

class Fnv1a64 {
 public:
  // Adds bytes in order.
  Fnv1a64& Bytes(std::string_view bytes);
  // Adds a number as eight little-endian bytes.
  Fnv1a64& Number(uint64_t number);
  uint64_t hash() const { return hash_; }

 private:
  uint64_t hash_ = 0xcbf29ce484222325ull;
};

}  // namespace dropbp
