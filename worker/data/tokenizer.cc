#include "worker/data/tokenizer.h"

#include <filesystem>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "core/base/files.h"
#include "core/base/text.h"
#include "worker/data/sentence_piece.h"
#include "worker/data/tokenizer_json.h"
#include "worker/data/utf8.h"

namespace dropbp::data {
namespace {

constexpr int64_t kMaxFileBytes = 64 << 20;

std::vector<AddedToken> Select(const std::vector<AddedToken>& tokens, bool normalized) {
  std::vector<AddedToken> selected;
  for (const AddedToken& token : tokens) {
    if (token.normalized == normalized) selected.push_back(token);
  }
  return selected;
}

// Encodes in the order of the reference implementation: (a) added tokens in the text as it is, (b)
// normalisation of what stands between, (c) added tokens in their normalised form, (d)
// pre-tokenisation, (e) BPE of each word. Each step counts ends of tokens in the text that it is
// given; whoever changed the text maps them back.
class PartsTokenizer : public Tokenizer {
 public:
  explicit PartsTokenizer(TokenizerParts parts)
      : normalizer_(std::move(parts.normalizer)),
        pre_tokenizer_(std::move(parts.pre_tokenizer)),
        raw_matcher_(Select(parts.added, false)),
        normalized_matcher_(Select(parts.added, true)),
        token_ids_(std::move(parts.vocabulary)),
        around_(std::move(parts.around)),
        bpe_(std::move(parts.bpe)),
        decoder_(std::move(parts.decoder)) {
    for (const auto& [token, id] : token_ids_) SetWritten(id, token);
    for (const AddedToken& token : parts.added) {
      token_ids_[token.content] = token.id;
      SetWritten(token.id, token.pattern);
      if (token.special) special_.insert(token.id);
    }
  }

  absl::StatusOr<std::vector<TokenId>> Encode(std::string_view text) const override {
    std::vector<TokenId> ids;
    RETURN_IF_ERROR(EncodeText(text, {ids, nullptr}));
    return ids;
  }

  absl::StatusOr<Encoding> EncodeWithOffsets(std::string_view text) const override {
    Encoding encoding;
    RETURN_IF_ERROR(EncodeText(text, {encoding.ids, &encoding.ends}));
    return encoding;
  }

  std::string Decode(absl::Span<const TokenId> ids, bool skip_special) const override {
    std::vector<std::string> tokens;
    tokens.reserve(ids.size());
    for (TokenId id : ids) {
      if (id < 0 || id >= vocab_size() || (skip_special && special_.contains(id))) continue;
      tokens.push_back(written_[static_cast<size_t>(id)]);
    }
    return decoder_.Decode(std::move(tokens));
  }

  TokenId TokenToId(std::string_view token) const override {
    const auto known = token_ids_.find(AbslView(token));
    return known == token_ids_.end() ? -1 : known->second;
  }

  std::string_view Token(TokenId id) const override {
    return id < 0 || id >= vocab_size() ? std::string_view() : written_[static_cast<size_t>(id)];
  }

  bool IsSpecial(TokenId id) const override { return special_.contains(id); }
  const AddedAround& Around() const override { return around_; }
  int64_t vocab_size() const override { return static_cast<int64_t>(written_.size()); }

 private:
  void SetWritten(TokenId id, const std::string& token) {
    if (written_.size() <= static_cast<size_t>(id)) written_.resize(static_cast<size_t>(id) + 1);
    written_[static_cast<size_t>(id)] = token;
  }

  absl::Status EncodeText(std::string_view text, Bpe::Output output) const;
  absl::Status EncodeBetween(std::string_view text, size_t offset, Bpe::Output output) const;
  absl::Status EncodeNormalized(std::string_view text, size_t offset, bool first,
                                Bpe::Output output) const;
  absl::Status EncodePlain(std::string_view text, size_t offset, bool first,
                           Bpe::Output output) const;
  absl::Status EncodeWords(std::string_view text, size_t offset, Bpe::Output output) const;

  const Normalizer normalizer_;
  const PreTokenizer pre_tokenizer_;
  const AddedTokenMatcher raw_matcher_;
  const AddedTokenMatcher normalized_matcher_;
  absl::flat_hash_map<std::string, TokenId> token_ids_;
  const AddedAround around_;
  const Bpe bpe_;
  const TokenDecoder decoder_;
  std::vector<std::string> written_;  // tokens by id, as the vocabulary writes them
  absl::flat_hash_set<TokenId> special_;
};

// Maps the ends of the tokens from number `first_token` on, counted in the text that `steps` made,
// back to the text that they were given, which begins at `offset`.
void MapEndsBack(absl::Span<const NormalizedText> steps, size_t first_token, size_t offset,
                 Bpe::Output output) {
  if (output.ends == nullptr) return;
  const absl::Span<size_t> ends = absl::MakeSpan(*output.ends).subspan(first_token);
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) step->MapToOriginal(ends);
  for (size_t& end : ends) end += offset;
}

void AddToken(const Segment& segment, size_t offset, Bpe::Output output) {
  output.ids.push_back(segment.id);
  if (output.ends != nullptr) output.ends->push_back(offset + segment.end);
}

absl::Status PartsTokenizer::EncodeText(std::string_view text, Bpe::Output output) const {
  const size_t valid = ValidUtf8Prefix(text);
  if (valid < text.size()) {
    return absl::InvalidArgumentError(absl::StrCat("invalid UTF-8 at byte ", valid));
  }
  output.ids.reserve(text.size() / 3);
  for (const Segment& segment : raw_matcher_.Split(text)) {
    if (segment.id >= 0) {
      AddToken(segment, 0, output);
    } else {
      RETURN_IF_ERROR(EncodeBetween(text.substr(segment.begin, segment.end - segment.begin),
                                    segment.begin, output));
    }
  }
  return absl::OkStatus();
}

absl::Status PartsTokenizer::EncodeBetween(std::string_view text, size_t offset,
                                           Bpe::Output output) const {
  const bool first = offset == 0;
  if (normalizer_.empty()) return EncodeNormalized(text, offset, first, output);
  ASSIGN_OR_RETURN(const std::vector<NormalizedText> steps, normalizer_.Apply(text));
  const size_t first_token = output.ids.size();
  RETURN_IF_ERROR(EncodeNormalized(steps.back().text, 0, first, output));
  MapEndsBack(steps, first_token, offset, output);
  return absl::OkStatus();
}

absl::Status PartsTokenizer::EncodeNormalized(std::string_view text, size_t offset, bool first,
                                              Bpe::Output output) const {
  for (const Segment& segment : normalized_matcher_.Split(text)) {
    if (segment.id >= 0) {
      AddToken(segment, offset, output);
    } else {
      RETURN_IF_ERROR(EncodePlain(text.substr(segment.begin, segment.end - segment.begin),
                                  offset + segment.begin, first && segment.begin == 0, output));
    }
  }
  return absl::OkStatus();
}

absl::Status PartsTokenizer::EncodePlain(std::string_view text, size_t offset, bool first,
                                         Bpe::Output output) const {
  if (!pre_tokenizer_.metaspace.has_value()) return EncodeWords(text, offset, output);
  const NormalizedText spaced = pre_tokenizer_.metaspace->Apply(text, first);
  const size_t first_token = output.ids.size();
  RETURN_IF_ERROR(EncodeWords(spaced.text, 0, output));
  MapEndsBack(absl::MakeConstSpan(&spaced, 1), first_token, offset, output);
  return absl::OkStatus();
}

absl::Status PartsTokenizer::EncodeWords(std::string_view text, size_t offset,
                                         Bpe::Output output) const {
  ASSIGN_OR_RETURN(const std::vector<size_t> ends, pre_tokenizer_.WordEnds(text));
  size_t begin = 0;
  for (size_t end : ends) {
    bpe_.Encode(text.substr(begin, end - begin), offset + begin, output);
    begin = end;
  }
  return absl::OkStatus();
}

}  // namespace

std::unique_ptr<const Tokenizer> MakeTokenizer(TokenizerParts parts) {
  return std::make_unique<PartsTokenizer>(std::move(parts));
}

absl::StatusOr<std::unique_ptr<const Tokenizer>> Tokenizer::Load(const std::string& model_dir) {
  const std::string path = model_dir + "/tokenizer.json";
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored) &&
      std::filesystem::exists(model_dir + "/tokenizer.model", ignored)) {
    ASSIGN_OR_RETURN(TokenizerParts parts, ReadSentencePieceFolder(model_dir, kMaxFileBytes));
    return MakeTokenizer(std::move(parts));
  }
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
  absl::StatusOr<TokenizerParts> parts = ParseTokenizerJson(text);
  if (!parts.ok()) return Annotate(parts.status(), path);
  return MakeTokenizer(*std::move(parts));
}

}  // namespace dropbp::data
