#include "worker/data/tokenizer_json.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "worker/data/bpe_json.h"
#include "worker/data/json_fields.h"
#include "worker/data/normalizer.h"
#include "worker/hf/json.h"

namespace dropbp::data {
namespace {

using hf::DescribeJson;
using hf::QuoteForError;
using nlohmann::json;

constexpr size_t kMaxAddedTokens = 100'000;
constexpr size_t kMaxAddedTokenBytes = 1024;

// The components of a field that may be one of them or a Sequence, in their order.
absl::StatusOr<std::vector<const json*>> Components(const json& root, const char* field,
                                                    const char* list_name) {
  const json* component = FindField(root, field);
  if (component == nullptr) return std::vector<const json*>{};
  if (TypeOf(*component) != "Sequence") return std::vector<const json*>{component};
  const json* list = FindField(*component, list_name);
  if (list == nullptr || !list->is_array()) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": a Sequence needs the list ", list_name));
  }
  std::vector<const json*> components;
  for (const json& element : *list) components.push_back(&element);
  return components;
}

absl::Status ReadNormalizer(const json& root, TokenizerParts& parts) {
  ASSIGN_OR_RETURN(const auto components, Components(root, "normalizer", "normalizers"));
  for (const json* component : components) {
    if (TypeOf(*component) != "NFC") return Unsupported("normalizer", *component, "none and NFC");
    parts.nfc = true;
  }
  return absl::OkStatus();
}

absl::Status AddSplit(const json& component, TokenizerParts& parts) {
  const json* pattern = FindField(component, "pattern");
  const json* regex = pattern == nullptr ? nullptr : FindField(*pattern, "Regex");
  if (regex == nullptr || !regex->is_string()) {
    return absl::InvalidArgumentError(
        "pre_tokenizer Split: supported is a pattern of the kind {\"Regex\": text}");
  }
  RETURN_IF_ERROR(RequireValue(component, "pre_tokenizer Split", "behavior", "Isolated"));
  RETURN_IF_ERROR(RequireValue(component, "pre_tokenizer Split", "invert", false));
  auto splitter = PatternSplitter(regex->get_ref<const std::string&>());
  if (!splitter.ok()) return Annotate(splitter.status(), "pre_tokenizer Split");
  parts.splitters.push_back(*std::move(splitter));
  return absl::OkStatus();
}

absl::Status AddByteLevel(const json& component, TokenizerParts& parts) {
  RETURN_IF_ERROR(RequireValue(component, "pre_tokenizer ByteLevel", "add_prefix_space", false));
  ASSIGN_OR_RETURN(const bool use_regex,
                   BoolField(component, "pre_tokenizer ByteLevel", "use_regex", true));
  if (!use_regex) return absl::OkStatus();
  ASSIGN_OR_RETURN(auto splitter, PatternSplitter(kGpt2Pattern));
  parts.splitters.push_back(std::move(splitter));
  return absl::OkStatus();
}

absl::Status ReadPreTokenizer(const json& root, TokenizerParts& parts) {
  constexpr char kSupported[] = "Digits and Split with a regex, followed by ByteLevel";
  ASSIGN_OR_RETURN(const auto components, Components(root, "pre_tokenizer", "pretokenizers"));
  for (size_t i = 0; i < components.size(); ++i) {
    const json& component = *components[i];
    const std::string type = TypeOf(component);
    const bool last = i + 1 == components.size();
    if (type == "ByteLevel" && last) return AddByteLevel(component, parts);
    if (type == "Split" && !last) {
      RETURN_IF_ERROR(AddSplit(component, parts));
    } else if (type == "Digits" && !last) {
      ASSIGN_OR_RETURN(const bool individual,
                       BoolField(component, "pre_tokenizer Digits", "individual_digits", false));
      parts.splitters.push_back(DigitsSplitter(individual));
    } else {
      return Unsupported("pre_tokenizer", component, kSupported);
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("pre_tokenizer is missing or empty; supported: ", kSupported));
}

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
    if (token.normalized && parts.nfc) {
      ASSIGN_OR_RETURN(const NormalizedText normalized, NormalizeNfc(token.content));
      token.pattern = normalized.text;
    }
    parts.added.push_back(std::move(token));
  }
  return absl::OkStatus();
}

// TemplateProcessing: which token its "single" template puts before the text.
absl::Status ReadTemplate(const json& component, TokenizerParts& parts) {
  const json* single = FindField(component, "single");
  if (single == nullptr || !single->is_array()) {
    return absl::InvalidArgumentError("post_processor TemplateProcessing: needs the list single");
  }
  for (const json& piece : *single) {
    if (FindField(piece, "Sequence") != nullptr) return absl::OkStatus();
    const json* token = FindField(piece, "SpecialToken");
    const json* name = token == nullptr ? nullptr : FindField(*token, "id");
    const json* table = FindField(component, "special_tokens");
    const json* entry = table == nullptr || name == nullptr || !name->is_string()
                            ? nullptr
                            : FindField(*table, name->get_ref<const std::string&>().c_str());
    const json* ids = entry == nullptr ? nullptr : FindField(*entry, "ids");
    if (ids == nullptr || !ids->is_array() || ids->size() != 1 || !IsTokenId((*ids)[0]) ||
        parts.begin_token >= 0) {
      return absl::InvalidArgumentError(
          "post_processor TemplateProcessing: supported is at most one special token with one id "
          "before the text");
    }
    parts.begin_token = (*ids)[0].get<TokenId>();
  }
  return absl::OkStatus();
}

absl::Status ReadPostProcessor(const json& root, TokenizerParts& parts) {
  ASSIGN_OR_RETURN(const auto components, Components(root, "post_processor", "processors"));
  for (const json* component : components) {
    const std::string type = TypeOf(*component);
    if (type == "TemplateProcessing") {
      RETURN_IF_ERROR(ReadTemplate(*component, parts));
    } else if (type != "ByteLevel") {  // ByteLevel only moves offsets.
      return Unsupported("post_processor", *component, "none, ByteLevel and TemplateProcessing");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckDecoder(const json& root) {
  ASSIGN_OR_RETURN(const auto components, Components(root, "decoder", "decoders"));
  if (components.size() == 1 && TypeOf(*components[0]) == "ByteLevel") return absl::OkStatus();
  const json* decoder = FindField(root, "decoder");
  if (decoder == nullptr)
    return absl::InvalidArgumentError("decoder is missing; supported: ByteLevel");
  return Unsupported("decoder", components.empty() ? *decoder : *components[0], "ByteLevel");
}

}  // namespace

absl::StatusOr<TokenizerParts> ParseTokenizerJson(std::string_view text) {
  ASSIGN_OR_RETURN(const json root, hf::ParseJson(text));
  if (!root.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat("found ", DescribeJson(root), ", legal is an object"));
  }
  TokenizerParts parts;
  RETURN_IF_ERROR(ReadNormalizer(root, parts));
  RETURN_IF_ERROR(ReadPreTokenizer(root, parts));
  RETURN_IF_ERROR(CheckDecoder(root));
  RETURN_IF_ERROR(ReadPostProcessor(root, parts));
  RETURN_IF_ERROR(ReadBpeModel(root, parts.vocabulary, parts.bpe));
  RETURN_IF_ERROR(ReadAddedTokens(root, parts));
  return parts;
}

}  // namespace dropbp::data
