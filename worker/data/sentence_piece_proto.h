// What tokenizing needs of a serialised sentencepiece.ModelProto.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace dropbp::data {

// Names, numbers and defaults are those of sentencepiece_model.proto.
struct SentencePieceModel {
  enum PieceType : int32_t {
    kNormal = 1,
    kUnknown = 2,
    kControl = 3,
    kUserDefined = 4,
    kUnused = 5,
    kByte = 6,
  };
  struct Piece {
    std::string text;
    float score = 0;
    int32_t type = kNormal;
  };
  static constexpr int32_t kBpe = 2;

  std::vector<Piece> pieces;  // by id
  // trainer_spec
  int32_t model_type = 1;  // unigram
  bool treat_whitespace_as_suffix = false;
  bool byte_fallback = false;
  // normalizer_spec and denormalizer_spec
  bool has_rules = false;  // either has a precompiled_charsmap
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
};

// INVALID_ARGUMENT if the bytes are no such message, or a piece is not UTF-8. Fields that are not
// needed are skipped.
absl::StatusOr<SentencePieceModel> ParseSentencePieceProto(std::string_view serialized);

}  // namespace dropbp::data
