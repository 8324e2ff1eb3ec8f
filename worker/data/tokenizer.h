// A model's tokenizer: byte-pair encoding as Hugging Face tokenizers runs it, or a SentencePiece
// model.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "core/base/status.h"

namespace dropbp::data {

using TokenId = int32_t;

// Ids of a text and where each of them ends: token i covers the bytes [ends[i - 1], ends[i]) of the
// text.
struct Encoding {
  std::vector<TokenId> ids;
  std::vector<size_t> ends;
};

// Ids that a tokenizer's post-processor puts around a text.
struct AddedAround {
  std::vector<TokenId> begin;
  std::vector<TokenId> end;
};

// Immutable after loading; safe to share among threads.
class Tokenizer {
 public:
  // Loads <model_dir>/tokenizer.json or, without it, tokenizer.model (at most 64 MiB). A component
  // that would change ids and is not supported is INVALID_ARGUMENT that names it.
  static absl::StatusOr<std::unique_ptr<const Tokenizer>> Load(const std::string& model_dir);
  virtual ~Tokenizer() = default;

  // Ids of UTF-8 text, without added begin or end tokens. Added tokens written in the text are
  // recognised. INVALID_ARGUMENT for invalid UTF-8.
  virtual absl::StatusOr<std::vector<TokenId>> Encode(std::string_view text) const = 0;

  // The same ids, with their places in the text. Where normalisation changed a stretch of text, all
  // tokens in it but the first begin at its end.
  virtual absl::StatusOr<Encoding> EncodeWithOffsets(std::string_view text) const = 0;

  // Text of ids; special tokens are left out if `skip_special`. Bytes that are not UTF-8 become
  // U+FFFD.
  virtual std::string Decode(absl::Span<const TokenId> ids, bool skip_special) const = 0;

  // Id of an added or vocabulary token by its content; -1 if there is none.
  virtual TokenId TokenToId(std::string_view token) const = 0;
  // A token as it is written: an added token's text, or the vocabulary's spelling; empty if there
  // is none with this id.
  virtual std::string_view Token(TokenId id) const = 0;
  // Whether Decode(ids, skip_special) leaves the token out.
  virtual bool IsSpecial(TokenId id) const = 0;
  // What the post-processor puts around a text.
  virtual const AddedAround& Around() const = 0;
  // One more than the largest id.
  virtual int64_t vocab_size() const = 0;
};

}  // namespace dropbp::data
