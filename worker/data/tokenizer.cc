#include "worker/data/tokenizer.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "core/base/files.h"
#include "core/base/text.h"
#include "worker/data/byte_level.h"
#include "worker/data/normalizer.h"
#include "worker/data/tokenizer_json.h"
#include "worker/data/utf8.h"

namespace dropbp::data {
namespace {

constexpr int64_t kMaxFileBytes = 64 << 20;

std::string DecodedBytes(const std::string& token) {
  // A token with a character outside the byte alphabet stands for itself.
  return TokenToBytes(token).value_or(token);
}

std::vector<AddedToken> Select(const std::vector<AddedToken>& tokens, bool normalized) {
  std::vector<AddedToken> selected;
  for (const AddedToken& token : tokens) {
    if (token.normalized == normalized) selected.push_back(token);
  }
  return selected;
}

// Encodes in the order of the reference implementation: (a) added tokens in the text as it is, (b)
// normalisation of what stands between, (c) added tokens in their normalised form, (d)
// pre-tokenisation, (e) BPE of each word.
class JsonTokenizer : public Tokenizer {
 public:
  explicit JsonTokenizer(TokenizerParts parts)
      : nfc_(parts.nfc),
        splitters_(std::move(parts.splitters)),
        raw_matcher_(Select(parts.added, false)),
        normalized_matcher_(Select(parts.added, true)),
        token_ids_(std::move(parts.vocabulary)),
        begin_token_(parts.begin_token),
        bpe_(std::move(parts.bpe)) {
    for (const auto& [token, id] : token_ids_) SetDecoded(id, token);
    for (const AddedToken& token : parts.added) {
      token_ids_[token.content] = token.id;
      SetDecoded(token.id, token.pattern);
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
    std::string bytes;
    for (TokenId id : ids) {
      if (id < 0 || id >= vocab_size() || (skip_special && special_.contains(id))) continue;
      bytes += decoded_[static_cast<size_t>(id)];
    }
    return ReplaceInvalidUtf8(bytes);
  }

  TokenId TokenToId(std::string_view token) const override {
    const auto known = token_ids_.find(AbslView(token));
    return known == token_ids_.end() ? -1 : known->second;
  }

  bool IsSpecial(TokenId id) const override { return special_.contains(id); }
  TokenId AddedBeginToken() const override { return begin_token_; }
  int64_t vocab_size() const override { return static_cast<int64_t>(decoded_.size()); }

 private:
  void SetDecoded(TokenId id, const std::string& token) {
    if (decoded_.size() <= static_cast<size_t>(id)) decoded_.resize(static_cast<size_t>(id) + 1);
    decoded_[static_cast<size_t>(id)] = DecodedBytes(token);
  }

  absl::Status EncodeText(std::string_view text, Bpe::Output output) const;
  absl::Status EncodeBetween(std::string_view text, size_t offset, Bpe::Output output) const;
  absl::Status EncodeNormalized(std::string_view text, size_t offset, Bpe::Output output) const;
  absl::Status EncodeWords(std::string_view text, size_t offset, Bpe::Output output) const;

  const bool nfc_;
  const std::vector<std::unique_ptr<const Splitter>> splitters_;
  const AddedTokenMatcher raw_matcher_;
  const AddedTokenMatcher normalized_matcher_;
  absl::flat_hash_map<std::string, TokenId> token_ids_;
  const TokenId begin_token_;
  const Bpe bpe_;
  std::vector<std::string> decoded_;  // bytes by id
  absl::flat_hash_set<TokenId> special_;
};

void AddToken(const Segment& segment, size_t offset, Bpe::Output output) {
  output.ids.push_back(segment.id);
  if (output.ends != nullptr) output.ends->push_back(offset + segment.end);
}

absl::Status JsonTokenizer::EncodeText(std::string_view text, Bpe::Output output) const {
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

absl::Status JsonTokenizer::EncodeBetween(std::string_view text, size_t offset,
                                          Bpe::Output output) const {
  if (!nfc_) return EncodeNormalized(text, offset, output);
  ASSIGN_OR_RETURN(const NormalizedText normalized, NormalizeNfc(text));
  const size_t first = output.ids.size();
  RETURN_IF_ERROR(EncodeNormalized(normalized.text, 0, output));
  if (output.ends == nullptr) return absl::OkStatus();
  for (size_t i = first; i < output.ids.size(); ++i) {
    (*output.ends)[i] = offset + normalized.OriginalOffset((*output.ends)[i]);
  }
  return absl::OkStatus();
}

absl::Status JsonTokenizer::EncodeNormalized(std::string_view text, size_t offset,
                                             Bpe::Output output) const {
  for (const Segment& segment : normalized_matcher_.Split(text)) {
    if (segment.id >= 0) {
      AddToken(segment, offset, output);
    } else {
      RETURN_IF_ERROR(EncodeWords(text.substr(segment.begin, segment.end - segment.begin),
                                  offset + segment.begin, output));
    }
  }
  return absl::OkStatus();
}

absl::Status JsonTokenizer::EncodeWords(std::string_view text, size_t offset,
                                        Bpe::Output output) const {
  std::vector<size_t> ends = {text.size()};
  std::vector<size_t> finer;
  for (const auto& splitter : splitters_) {
    finer.clear();
    size_t begin = 0;
    for (size_t end : ends) {
      RETURN_IF_ERROR(splitter->Split(text.substr(begin, end - begin), begin, finer));
      begin = end;
    }
    ends.swap(finer);
  }
  size_t begin = 0;
  for (size_t end : ends) {
    bpe_.Encode(text.substr(begin, end - begin), offset + begin, output);
    begin = end;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<const Tokenizer>> Tokenizer::Load(const std::string& model_dir) {
  const std::string path = model_dir + "/tokenizer.json";
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
  absl::StatusOr<TokenizerParts> parts = ParseTokenizerJson(text);
  if (!parts.ok()) return Annotate(parts.status(), path);
  return std::make_unique<JsonTokenizer>(*std::move(parts));
}

}  // namespace dropbp::data
