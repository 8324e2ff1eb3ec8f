#include "worker/data/tokenizer_json.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/data/bpe_json.h"
#include "worker/data/json_fields.h"
#include "worker/hf/json.h"

namespace dropbp::data {
namespace {

using hf::DescribeJson;
using hf::QuoteForError;
using nlohmann::json;

constexpr size_t kMaxAddedTokens = 100'000;
constexpr size_t kMaxAddedTokenBytes = 1024;

absl::StatusOr<AddedToken> ReadAddedToken(const json& token) {
  const json* content = FindField(token, "content");
  const json* id = FindField(token, "id");
  if (content == nullptr || !content->is_string() || id == nullptr || !IsTokenId(*id)) {
    return absl::InvalidArgumentError(
        absl::StrCat("added_tokens: found ", QuoteForError(token.dump()),
                     ", legal is an object with content (text) and id (0 to ", kMaxTokenId, ")"));
  }
  AddedToken result;
  result.content = content->get<std::string>();
  result.id = id->get<TokenId>();
  if (result.content.size() > kMaxAddedTokenBytes) {
    return absl::InvalidArgumentError(absl::StrCat("added token ", QuoteForError(result.content),
                                                   ": longer than ", kMaxAddedTokenBytes,
                                                   " bytes"));
  }
  const std::string where = "added token " + QuoteForError(result.content);
  ASSIGN_OR_RETURN(result.single_word, BoolField(token, where, "single_word", false));
  ASSIGN_OR_RETURN(result.lstrip, BoolField(token, where, "lstrip", false));
  ASSIGN_OR_RETURN(result.rstrip, BoolField(token, where, "rstrip", false));
  ASSIGN_OR_RETURN(result.special, BoolField(token, where, "special", false));
  ASSIGN_OR_RETURN(result.normalized, BoolField(token, where, "normalized", !result.special));
  return result;
}

// An added token has the id of the vocabulary if it is in it, else the next one after all others.
// The reference implementation gives it that id whatever the file says, so a file that says
// otherwise is broken.
absl::Status CheckId(const AddedToken& token, TokenId next_id, const TokenizerParts& parts) {
  const auto known = parts.vocabulary.find(token.content);
  const TokenId expected = known == parts.vocabulary.end() ? next_id : known->second;
  if (token.id == expected) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "added token ", QuoteForError(token.content), " has id ", token.id,
      known == parts.vocabulary.end() ? ", the next free id is " : ", in the vocabulary it has id ",
      expected));
}

absl::Status ReadAddedTokens(const json& root, TokenizerParts& parts) {
  const json* list = FindField(root, "added_tokens");
  if (list == nullptr) return absl::OkStatus();
  if (!list->is_array() || list->size() > kMaxAddedTokens) {
    return absl::InvalidArgumentError(absl::StrCat(
        "added_tokens is ", DescribeJson(*list), ", legal is a list of at most ", kMaxAddedTokens));
  }
  TokenId next_id = static_cast<TokenId>(parts.vocabulary.size());
  absl::flat_hash_map<std::string, TokenId> seen;
  for (const json& element : *list) {
    ASSIGN_OR_RETURN(AddedToken token, ReadAddedToken(element));
    if (token.content.empty()) continue;  // as the reference implementation does
    if (!seen.emplace(token.content, token.id).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("added token ", QuoteForError(token.content), " occurs twice"));
    }
    RETURN_IF_ERROR(CheckId(token, next_id, parts));
    next_id = std::max(next_id, token.id + 1);
    token.pattern = token.content;
    if (token.normalized && !parts.normalizer.empty()) {
      ASSIGN_OR_RETURN(const auto normalized, parts.normalizer.Apply(token.content));
      token.pattern = normalized.back().text;
    }
    parts.added.push_back(std::move(token));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TokenizerParts> ParseTokenizerJson(std::string_view text) {
  ASSIGN_OR_RETURN(const json root, hf::ParseJson(text));
  if (!root.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat("found ", DescribeJson(root), ", legal is an object"));
  }
  TokenizerParts parts;
  ASSIGN_OR_RETURN(parts.normalizer, ReadNormalizer(root));
  ASSIGN_OR_RETURN(parts.pre_tokenizer, ReadPreTokenizer(root));
  ASSIGN_OR_RETURN(parts.around, ReadPostProcessor(root));
  ASSIGN_OR_RETURN(parts.decoder, ReadDecoder(root));
  parts.bpe.characters = !parts.pre_tokenizer.byte_level;
  RETURN_IF_ERROR(ReadBpeModel(root, parts.vocabulary, parts.bpe));
  RETURN_IF_ERROR(ReadAddedTokens(root, parts));
  return parts;
}

}  // namespace dropbp::data
