// tokenizer.model, and what its tokenizer makes of a text of many kinds.
#include <string_view>

#include "tests/fuzz/encode_decode.h"
#include "worker/data/sentence_piece.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view serialized(reinterpret_cast<const char*>(data), size);
  const bool prefix_everywhere = size % 2 == 0;
  dropbp::data::EncodeAndDecode(
      dropbp::data::ParseSentencePieceModel(serialized, prefix_everywhere));
  return 0;
}
