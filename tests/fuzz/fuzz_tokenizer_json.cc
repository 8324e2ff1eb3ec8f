// tokenizer.json, and what its tokenizer makes of a text of many kinds.
#include <string_view>

#include "tests/fuzz/encode_decode.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  dropbp::data::EncodeAndDecode(dropbp::data::ParseTokenizerJson(text));
  return 0;
}
