#include "worker/data/sentence_piece.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/files.h"
#include "core/base/text.h"
#include "worker/data/json_fields.h"
#include "worker/data/sentence_piece_proto.h"
#include "worker/data/special_tokens.h"
#include "worker/data/utf8.h"
#include "worker/hf/json.h"

namespace dropbp::data {
namespace {

using nlohmann::json;
using Model = SentencePieceModel;

constexpr char kSpace[] = "\u2581";

absl::Status CheckSupported(const Model& model) {
  if (model.model_type != Model::kBpe) {
    return absl::InvalidArgumentError(absl::StrCat("model_type is ", model.model_type,
                                                   " (1 unigram, 2 BPE, 3 word, 4 character); "
                                                   "supported: 2"));
  }
  const std::pair<bool, const char*> unsupported[] = {
      {model.has_rules, "normalisation rules (precompiled_charsmap)"},
      {model.remove_extra_whitespaces, "remove_extra_whitespaces"},
      {!model.escape_whitespaces, "escape_whitespaces false"},
      {model.treat_whitespace_as_suffix, "treat_whitespace_as_suffix"}};
  for (const auto& [found, what] : unsupported) {
    if (found)
      return absl::InvalidArgumentError(absl::StrCat("the model has ", what, ": not supported"));
  }
  return absl::OkStatus();
}

absl::Status ReadPieces(const Model& model, TokenizerParts& parts) {
  for (size_t i = 0; i < model.pieces.size(); ++i) {
    const Model::Piece& piece = model.pieces[i];
    const TokenId id = static_cast<TokenId>(i);
    if (!parts.vocabulary.emplace(piece.text, id).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("the piece ", hf::QuoteForError(piece.text), " occurs twice"));
    }
    if (piece.type == Model::kNormal) {
      parts.bpe.vocabulary.emplace(piece.text, id);
    } else if (piece.type == Model::kUnknown) {
      parts.bpe.unknown = id;
    } else if (piece.type == Model::kUnused) {
      return absl::InvalidArgumentError(absl::StrCat("the piece ", hf::QuoteForError(piece.text),
                                                     " is marked as unused: not supported"));
    }
    const bool special = piece.type == Model::kControl || piece.type == Model::kUnknown;
    if (!special && piece.type != Model::kUserDefined) continue;
    AddedToken token;
    token.id = id;
    token.content = token.pattern = piece.text;
    token.special = special;
    token.normalized = !special;
    parts.added.push_back(std::move(token));
  }
  return absl::OkStatus();
}

absl::Status ReadByteFallback(const Model& model, TokenizerParts& parts) {
  if (!model.byte_fallback) return absl::OkStatus();
  for (int byte = 0; byte < 256; ++byte) {
    const auto piece = parts.vocabulary.find(absl::StrFormat("<0x%02X>", byte));
    if (piece == parts.vocabulary.end() ||
        model.pieces[static_cast<size_t>(piece->second)].type != Model::kByte) {
      return absl::InvalidArgumentError(
          absl::StrFormat("byte_fallback needs the byte piece <0x%02X>", byte));
    }
    parts.bpe.byte_fallback.push_back(piece->second);
  }
  return absl::OkStatus();
}

// Every way to make a piece of two others. Pieces of equal score have equal ranks, so that the
// leftmost pair wins, as in SentencePiece.
void MakeMerges(const Model& model, TokenizerParts& parts) {
  std::vector<float> scores;
  for (const Model::Piece& piece : model.pieces) scores.push_back(piece.score);
  std::sort(scores.begin(), scores.end(), std::greater<>());
  scores.erase(std::unique(scores.begin(), scores.end()), scores.end());
  const auto& vocabulary = parts.bpe.vocabulary;
  for (const auto& [text, id] : vocabulary) {
    const float score = model.pieces[static_cast<size_t>(id)].score;
    const auto place = std::lower_bound(scores.begin(), scores.end(), score, std::greater<>());
    const int32_t rank = static_cast<int32_t>(place - scores.begin());
    for (size_t border = 0; border < text.size();) {
      NextCodePoint(text, border);
      if (border == text.size()) break;
      const auto left = vocabulary.find(AbslView(std::string_view(text).substr(0, border)));
      if (left == vocabulary.end()) continue;
      const auto right = vocabulary.find(AbslView(std::string_view(text).substr(border)));
      if (right == vocabulary.end()) continue;
      parts.bpe.merges.push_back({left->second, right->second, id, rank});
    }
  }
}

// An added token of tokenizer_config.json or added_tokens.json.
absl::Status AddToken(TokenId id, const std::string& content, const json& flags,
                      TokenizerParts& parts) {
  constexpr size_t kMaxBytes = 1024;
  if (content.empty() || content.size() > kMaxBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("added token ", id, ": legal is a text of 1 to ", kMaxBytes, " bytes"));
  }
  const std::string where = "added token " + hf::QuoteForError(content);
  AddedToken token;
  token.id = id;
  token.content = token.pattern = content;
  ASSIGN_OR_RETURN(token.single_word, BoolField(flags, where, "single_word", false));
  ASSIGN_OR_RETURN(token.lstrip, BoolField(flags, where, "lstrip", false));
  ASSIGN_OR_RETURN(token.rstrip, BoolField(flags, where, "rstrip", false));
  ASSIGN_OR_RETURN(token.special, BoolField(flags, where, "special", false));
  const auto known = parts.vocabulary.find(content);
  const TokenId next = static_cast<TokenId>(parts.vocabulary.size());
  if (known != parts.vocabulary.end() ? known->second != id : id < next) {
    return absl::InvalidArgumentError(absl::StrCat(
        where, " has id ", id, ", legal is ",
        known != parts.vocabulary.end() ? "its id in the model, " : "at least the model's size, ",
        known != parts.vocabulary.end() ? known->second : next));
  }
  const auto same = std::find_if(parts.added.begin(), parts.added.end(), [&](const AddedToken& t) {
    return t.content == content || t.id == id;
  });
  if (same == parts.added.end()) {
    parts.added.push_back(std::move(token));
  } else {
    *same = std::move(token);
  }
  return absl::OkStatus();
}

// {"32000": {"content": ..., flags}}.
absl::Status ReadAddedTokensDecoder(const json& config, TokenizerParts& parts) {
  const json* table = FindField(config, "added_tokens_decoder");
  if (table == nullptr || !table->is_object()) return absl::OkStatus();
  for (const auto& [key, entry] : table->items()) {
    TokenId id;
    const json* content = FindField(entry, "content");
    if (!absl::SimpleAtoi(key, &id) || id < 0 || id > kMaxTokenId || content == nullptr ||
        !content->is_string()) {
      return absl::InvalidArgumentError(
          absl::StrCat("added_tokens_decoder: found ", hf::QuoteForError(key),
                       ", legal is an id with an object that has content, a text"));
    }
    RETURN_IF_ERROR(AddToken(id, content->get<std::string>(), entry, parts));
  }
  return absl::OkStatus();
}

// {"<pad>": 32000}, which says nothing about flags.
absl::Status ReadAddedTokensFile(const std::string& path, TokenizerParts& parts) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, 4 << 20));
  ASSIGN_OR_RETURN(const json table, hf::ParseJson(text));
  if (!table.is_object())
    return absl::InvalidArgumentError("found no object, legal is {token: id}");
  for (const auto& entry : table.items()) {
    const std::string& content = entry.key();
    const json& id = entry.value();
    if (!IsTokenId(id)) {
      return absl::InvalidArgumentError(absl::StrCat(hf::QuoteForError(content), ": found ",
                                                     hf::DescribeJson(id), ", legal is an id"));
    }
    const bool known = std::any_of(parts.added.begin(), parts.added.end(),
                                   [&](const AddedToken& t) { return t.content == content; });
    if (!known) RETURN_IF_ERROR(AddToken(id.get<TokenId>(), content, json::object(), parts));
  }
  return absl::OkStatus();
}

// The id of the token that a role of tokenizer_config.json names; -1 if it is none.
TokenId RoleToken(const std::map<std::string, std::string>& roles, const char* role,
                  const char* fallback, const TokenizerParts& parts) {
  const auto named = roles.find(role);
  const std::string content = named == roles.end() ? fallback : named->second;
  const auto known = parts.vocabulary.find(content);
  if (known != parts.vocabulary.end()) return known->second;
  for (const AddedToken& token : parts.added) {
    if (token.content == content) return token.id;
  }
  return -1;
}

absl::Status ReadConfig(const json& config, TokenizerParts& parts) {
  RETURN_IF_ERROR(ReadAddedTokensDecoder(config, parts));
  const auto roles = SpecialTokens(config);
  ASSIGN_OR_RETURN(const bool begin, BoolField(config, "the file", "add_bos_token", true));
  ASSIGN_OR_RETURN(const bool end, BoolField(config, "the file", "add_eos_token", false));
  const TokenId begin_token = RoleToken(roles, "bos_token", "<s>", parts);
  const TokenId end_token = RoleToken(roles, "eos_token", "</s>", parts);
  if (begin && begin_token >= 0) parts.around.begin.push_back(begin_token);
  if (end && end_token >= 0) parts.around.end.push_back(end_token);
  return absl::OkStatus();
}

absl::Status ReadFolder(const std::string& model_dir, std::string_view serialized,
                        TokenizerParts& parts) {
  ASSIGN_OR_RETURN(const json config, ReadTokenizerConfig(model_dir));
  ASSIGN_OR_RETURN(const bool legacy,
                   BoolField(config, model_dir + "/tokenizer_config.json", "legacy", true));
  auto parsed = ParseSentencePieceModel(serialized, legacy);
  if (!parsed.ok()) return Annotate(parsed.status(), model_dir + "/tokenizer.model");
  parts = *std::move(parsed);
  if (absl::Status read = ReadConfig(config, parts); !read.ok())
    return Annotate(read, model_dir + "/tokenizer_config.json");
  const std::string added_path = model_dir + "/added_tokens.json";
  std::error_code ignored;
  if (!std::filesystem::exists(added_path, ignored)) return absl::OkStatus();
  const absl::Status read = ReadAddedTokensFile(added_path, parts);
  return read.ok() ? read : Annotate(read, added_path);
}

}  // namespace

absl::StatusOr<TokenizerParts> ParseSentencePieceModel(std::string_view serialized,
                                                       bool prefix_everywhere) {
  ASSIGN_OR_RETURN(const Model model, ParseSentencePieceProto(serialized));
  RETURN_IF_ERROR(CheckSupported(model));
  TokenizerParts parts;
  parts.bpe.characters = true;
  parts.bpe.fuse_unknown = true;
  RETURN_IF_ERROR(ReadPieces(model, parts));
  RETURN_IF_ERROR(ReadByteFallback(model, parts));
  MakeMerges(model, parts);
  if (model.add_dummy_prefix && prefix_everywhere)
    parts.normalizer.Add(Normalizer::Prepend{kSpace});
  if (model.add_dummy_prefix && !prefix_everywhere)
    parts.pre_tokenizer.metaspace = Metaspace{kSpace, Metaspace::Prepend::kFirst};
  parts.normalizer.Add(Normalizer::Replace{" ", kSpace});
  parts.decoder.Add(TokenDecoder::Replace{kSpace, " "});
  parts.decoder.Add(TokenDecoder::ByteFallback{});
  parts.decoder.Add(TokenDecoder::Fuse{});
  if (model.add_dummy_prefix) parts.decoder.Add(TokenDecoder::Strip{" ", 1, 0});
  return parts;
}

absl::StatusOr<TokenizerParts> ReadSentencePieceFolder(const std::string& model_dir,
                                                       int64_t max_file_bytes) {
  ASSIGN_OR_RETURN(const std::string serialized,
                   ReadFile(model_dir + "/tokenizer.model", max_file_bytes));
  TokenizerParts parts;
  RETURN_IF_ERROR(ReadFolder(model_dir, serialized, parts));
  return parts;
}

}  // namespace dropbp::data
