// Classes of code points as the regular expressions of tokenizers see them.
#pragma once

#include <cstdint>

namespace dropbp::data {

enum CodePointClass : uint8_t {
  kLetter = 1,   // \p{L}
  kNumber = 2,   // \p{N}
  kSpace = 4,    // \s
  kNumeric = 8,  // Nd, Nl or No in the newest Unicode: what the Digits pre-tokenizer splits at
  kWord = 16,    // \w: alphabetic, mark, decimal digit, connector or joiner
  kInert = 32,   // has a place in normal forms since Unicode 10 or later, none before
  kUpper = 64,   // Lu, Lt, or of no case: Lm, Lo, \p{M}
  kLower = 128,  // Ll, or of no case
};

// The classes of every code point below 0x110000. Built on first use from Oniguruma's own tables,
// with the code points of newer Unicode versions that the reference implementation knows.
// Thread-safe; lives for the whole program.
const uint8_t* CodePointClasses();

}  // namespace dropbp::data
