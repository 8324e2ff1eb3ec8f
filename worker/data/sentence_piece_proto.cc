#include "worker/data/sentence_piece_proto.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "worker/data/json_fields.h"
#include "worker/data/utf8.h"

namespace dropbp::data {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

constexpr size_t kMaxPieceBytes = 1024;

// Calls `read(field number, wire type)` for every field of a message; it returns false for a broken
// field. Fields that it leaves alone are skipped by Skip.
template <typename Read>
bool ForEachField(CodedInputStream& input, Read read) {
  while (const uint32_t tag = input.ReadTag()) {
    if (!read(tag)) return false;
  }
  return input.ConsumedEntireMessage();
}

bool Skip(CodedInputStream& input, uint32_t tag) { return WireFormatLite::SkipField(&input, tag); }

// Runs `read` on the embedded message that comes next.
template <typename Read>
bool ReadMessage(CodedInputStream& input, Read read) {
  int length;
  if (!input.ReadVarintSizeAsInt(&length)) return false;
  const auto outer = input.PushLimit(length);
  if (input.BytesUntilLimit() != length) return false;
  const bool good = read();
  if (!good || input.BytesUntilLimit() != 0) return false;
  input.PopLimit(outer);
  return true;
}

bool ReadNumber(CodedInputStream& input, int32_t& value) {
  uint64_t number;
  if (!input.ReadVarint64(&number)) return false;
  value = static_cast<int32_t>(number);
  return true;
}

bool ReadBool(CodedInputStream& input, bool& value) {
  uint64_t number;
  if (!input.ReadVarint64(&number)) return false;
  value = number != 0;
  return true;
}

bool ReadBytes(CodedInputStream& input, std::string& value) {
  int length;
  if (!input.ReadVarintSizeAsInt(&length)) return false;
  const int left = input.BytesUntilLimit();
  return (left < 0 || length <= left) && input.ReadString(&value, length);
}

constexpr uint32_t Varint(int field) {
  return WireFormatLite::MakeTag(field, WireFormatLite::WIRETYPE_VARINT);
}
constexpr uint32_t Delimited(int field) {
  return WireFormatLite::MakeTag(field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
}
constexpr uint32_t Fixed32(int field) {
  return WireFormatLite::MakeTag(field, WireFormatLite::WIRETYPE_FIXED32);
}

bool ReadPiece(CodedInputStream& input, SentencePieceModel::Piece& piece) {
  return ForEachField(input, [&](uint32_t tag) {
    if (tag == Delimited(1)) return ReadBytes(input, piece.text);
    if (tag == Varint(3)) return ReadNumber(input, piece.type);
    if (tag != Fixed32(2)) return Skip(input, tag);
    uint32_t bits;
    if (!input.ReadLittleEndian32(&bits)) return false;
    piece.score = WireFormatLite::DecodeFloat(bits);
    return true;
  });
}

bool ReadTrainerSpec(CodedInputStream& input, SentencePieceModel& model) {
  return ForEachField(input, [&](uint32_t tag) {
    if (tag == Varint(3)) return ReadNumber(input, model.model_type);
    if (tag == Varint(24)) return ReadBool(input, model.treat_whitespace_as_suffix);
    if (tag == Varint(35)) return ReadBool(input, model.byte_fallback);
    return Skip(input, tag);
  });
}

bool ReadNormalizerSpec(CodedInputStream& input, bool is_denormalizer, SentencePieceModel& model) {
  return ForEachField(input, [&](uint32_t tag) {
    if (tag == Delimited(2)) {
      std::string rules;
      if (!ReadBytes(input, rules)) return false;
      model.has_rules |= !rules.empty();
      return true;
    }
    if (is_denormalizer) return Skip(input, tag);
    if (tag == Varint(3)) return ReadBool(input, model.add_dummy_prefix);
    if (tag == Varint(4)) return ReadBool(input, model.remove_extra_whitespaces);
    if (tag == Varint(5)) return ReadBool(input, model.escape_whitespaces);
    return Skip(input, tag);
  });
}

bool ReadModel(CodedInputStream& input, SentencePieceModel& model) {
  return ForEachField(input, [&](uint32_t tag) {
    if (tag == Delimited(1)) {
      if (model.pieces.size() > static_cast<size_t>(kMaxTokenId)) return false;
      SentencePieceModel::Piece& piece = model.pieces.emplace_back();
      return ReadMessage(input, [&] { return ReadPiece(input, piece); });
    }
    if (tag == Delimited(2))
      return ReadMessage(input, [&] { return ReadTrainerSpec(input, model); });
    if (tag == Delimited(3))
      return ReadMessage(input, [&] { return ReadNormalizerSpec(input, false, model); });
    if (tag == Delimited(5))
      return ReadMessage(input, [&] { return ReadNormalizerSpec(input, true, model); });
    return Skip(input, tag);
  });
}

}  // namespace

absl::StatusOr<SentencePieceModel> ParseSentencePieceProto(std::string_view serialized) {
  if (serialized.size() > static_cast<size_t>(std::numeric_limits<int>::max()))
    return absl::InvalidArgumentError("larger than 2 GiB");
  CodedInputStream input(reinterpret_cast<const uint8_t*>(serialized.data()),
                         static_cast<int>(serialized.size()));
  SentencePieceModel model;
  if (!ReadModel(input, model) || model.pieces.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "no SentencePiece model: the message is broken near byte ", input.CurrentPosition()));
  }
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const std::string& text = model.pieces[id].text;
    if (text.empty() || ValidUtf8Prefix(text) < text.size())
      return absl::InvalidArgumentError(absl::StrCat("piece ", id, " is no UTF-8 text"));
    if (text.size() > kMaxPieceBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("piece ", id, " is longer than ", kMaxPieceBytes, " bytes"));
    }
    if (std::isnan(model.pieces[id].score))
      return absl::InvalidArgumentError(absl::StrCat("the score of piece ", id, " is no number"));
  }
  return model;
}

}  // namespace dropbp::data
