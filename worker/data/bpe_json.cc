#include "worker/data/bpe_json.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/text.h"
#include "worker/data/byte_level.h"
#include "worker/data/json_fields.h"
#include "worker/hf/json.h"

namespace dropbp::data {
namespace {

using hf::DescribeJson;
using hf::QuoteForError;
using nlohmann::json;
using Vocabulary = absl::flat_hash_map<std::string, TokenId>;

absl::Status CheckFlags(const json& model) {
  const std::string type = TypeOf(model);
  // Files of early versions do not name the type.
  if (!type.empty() && type != "BPE") return Unsupported("model", model, "BPE");
  RETURN_IF_ERROR(RequireValue(model, "model", "dropout", 0.0));
  RETURN_IF_ERROR(RequireValue(model, "model", "continuing_subword_prefix", ""));
  return RequireValue(model, "model", "end_of_word_suffix", "");
}

absl::Status ReadVocabulary(const json& model, Vocabulary& vocabulary, BpeParts& bpe) {
  const json* vocab = FindField(model, "vocab");
  if (vocab == nullptr || !vocab->is_object() || vocab->empty()) {
    return absl::InvalidArgumentError("model: needs vocab, an object of tokens and ids");
  }
  std::vector<bool> used;
  vocabulary.reserve(vocab->size());
  for (const auto& [token, value] : vocab->items()) {
    if (!IsTokenId(value)) {
      return absl::InvalidArgumentError(absl::StrCat("model.vocab ", QuoteForError(token),
                                                     ": found ", DescribeJson(value),
                                                     ", legal is 0 to ", kMaxTokenId));
    }
    const TokenId id = value.get<TokenId>();
    if (used.size() <= static_cast<size_t>(id)) used.resize(id + 1);
    if (used[id]) {
      return absl::InvalidArgumentError(absl::StrCat("model.vocab ", QuoteForError(token), ": id ",
                                                     id, " is another token's too"));
    }
    used[id] = true;
    vocabulary.emplace(token, id);
    if (bpe.characters) {
      bpe.vocabulary.emplace(token, id);
    } else if (auto bytes = TokenToBytes(token); bytes.has_value()) {
      bpe.vocabulary.emplace(*std::move(bytes), id);
    }
  }
  return absl::OkStatus();
}

struct MergeText {
  std::string_view left;
  std::string_view right;
};

std::optional<MergeText> ReadMergeText(const json& merge) {
  if (merge.is_array()) {
    if (merge.size() != 2 || !merge[0].is_string() || !merge[1].is_string()) return std::nullopt;
    return MergeText{merge[0].get_ref<const std::string&>(),
                     merge[1].get_ref<const std::string&>()};
  }
  if (!merge.is_string()) return std::nullopt;
  const std::string_view text = merge.get_ref<const std::string&>();
  const size_t space = text.find(' ');
  if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos)
    return std::nullopt;
  return MergeText{text.substr(0, space), text.substr(space + 1)};
}

absl::StatusOr<BpeParts::Merge> ReadMerge(const json& merge, size_t rank,
                                          const Vocabulary& vocabulary) {
  const auto text = ReadMergeText(merge);
  if (!text.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("found ", DescribeJson(merge), ", legal is \"a b\" or [\"a\", \"b\"]"));
  }
  const std::string joined = absl::StrCat(AbslView(text->left), AbslView(text->right));
  TokenId ids[3];
  size_t i = 0;
  for (const std::string_view token : {text->left, text->right, std::string_view(joined)}) {
    const auto known = vocabulary.find(AbslView(token));
    if (known == vocabulary.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(QuoteForError(token), " is not in the vocabulary"));
    }
    ids[i++] = known->second;
  }
  return BpeParts::Merge{ids[0], ids[1], ids[2], static_cast<int32_t>(rank)};
}

absl::Status ReadMerges(const json& model, const Vocabulary& vocabulary, BpeParts& bpe) {
  const json* merges = FindField(model, "merges");
  if (merges == nullptr || !merges->is_array()) {
    return absl::InvalidArgumentError("model: needs merges, a list of pairs of tokens");
  }
  bpe.merges.reserve(merges->size());
  for (size_t i = 0; i < merges->size(); ++i) {
    auto merge = ReadMerge((*merges)[i], i, vocabulary);
    if (!merge.ok()) return Annotate(merge.status(), absl::StrCat("model.merges, number ", i));
    bpe.merges.push_back(*merge);
  }
  return absl::OkStatus();
}

absl::Status ReadUnknown(const json& model, const Vocabulary& vocabulary, BpeParts& bpe) {
  const json* unknown = FindField(model, "unk_token");
  if (unknown == nullptr) return absl::OkStatus();
  const auto known = unknown->is_string() ? vocabulary.find(unknown->get_ref<const std::string&>())
                                          : vocabulary.end();
  if (known == vocabulary.end()) {
    return absl::InvalidArgumentError(absl::StrCat("model.unk_token is ", DescribeJson(*unknown),
                                                   ", legal is a token of the vocabulary"));
  }
  bpe.unknown = known->second;
  return absl::OkStatus();
}

// The tokens <0x00> to <0xFF>. A byte-level model in which every byte has a token never falls back.
absl::Status ReadByteFallback(const json& model, const Vocabulary& vocabulary, BpeParts& bpe) {
  ASSIGN_OR_RETURN(const bool byte_fallback, BoolField(model, "model", "byte_fallback", false));
  if (!byte_fallback) return absl::OkStatus();
  for (int byte = 0; byte < 256; ++byte) {
    if (!bpe.characters && bpe.vocabulary.contains(std::string(1, static_cast<char>(byte))))
      continue;
    if (!bpe.characters) {
      return absl::InvalidArgumentError(
          absl::StrCat("model: byte_fallback is true in a byte-level model that has no token for "
                       "the byte ",
                       byte, "; supported where every byte has one"));
    }
    const std::string token = absl::StrFormat("<0x%02X>", byte);
    const auto known = vocabulary.find(token);
    if (known == vocabulary.end()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "model: byte_fallback needs the tokens <0x00> to <0xFF>, and the vocabulary has no ",
          token));
    }
    bpe.byte_fallback.push_back(known->second);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadBpeModel(const json& root, Vocabulary& vocabulary, BpeParts& bpe) {
  const json* model = FindField(root, "model");
  if (model == nullptr) return absl::InvalidArgumentError("model is missing");
  RETURN_IF_ERROR(CheckFlags(*model));
  RETURN_IF_ERROR(ReadVocabulary(*model, vocabulary, bpe));
  RETURN_IF_ERROR(ReadMerges(*model, vocabulary, bpe));
  RETURN_IF_ERROR(ReadUnknown(*model, vocabulary, bpe));
  RETURN_IF_ERROR(ReadByteFallback(*model, vocabulary, bpe));
  ASSIGN_OR_RETURN(bpe.fuse_unknown, BoolField(*model, "model", "fuse_unk", false));
  ASSIGN_OR_RETURN(bpe.ignore_merges, BoolField(*model, "model", "ignore_merges", false));
  return absl::OkStatus();
}

}  // namespace dropbp::data
