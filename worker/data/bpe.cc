#include "worker/data/bpe.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <queue>

#include "core/base/text.h"
#include "worker/data/utf8.h"

namespace dropbp::data {
namespace {

// Above this many symbols a queue is faster than looking at all pairs again.
constexpr size_t kShortWord = 48;

uint64_t PairKey(TokenId left, TokenId right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

// Numbers models from 1.
uint64_t NextNumber() {
  static std::atomic<uint64_t> last = 0;
  return ++last;
}

}  // namespace

Bpe::Bpe(BpeParts parts) : parts_(std::move(parts)), number_(NextNumber()) {
  TokenId largest = -1;
  for (const auto& [bytes, id] : parts_.vocabulary) largest = std::max(largest, id);
  own_encoding_ = std::make_unique<std::atomic<uint8_t>[]>(static_cast<size_t>(largest + 1));

  rules_.reserve(parts_.merges.size());
  for (const BpeParts::Merge& merge : parts_.merges) {
    // The last of two equal pairs counts, as in the reference implementation.
    rules_[PairKey(merge.left, merge.right)] = Rule{merge.rank, merge.result};
  }
  for (int byte = 0; byte < 256; ++byte) {
    const auto token = parts_.vocabulary.find(std::string(1, static_cast<char>(byte)));
    byte_ids_[byte] = token == parts_.vocabulary.end() ? -1 : token->second;
  }
  if (parts_.characters) ReadCharacters();
  // Without a token for every byte, a run of unknown characters may become one token.
  if (parts_.characters && !parts_.byte_fallback.empty()) ReadCuts();
}

void Bpe::ReadCharacters() {
  for (const auto& [token, id] : parts_.vocabulary) {
    size_t end = 0;
    if (token.empty()) continue;
    const char32_t character = NextCodePoint(token, end);
    if (character >= 0x80 && end == token.size()) character_ids_.emplace(character, id);
  }
}

// See Note [Safe cuts].
void Bpe::ReadCuts() {
  absl::flat_hash_map<TokenId, std::string_view> tokens;
  for (const auto& [token, id] : parts_.vocabulary) tokens.emplace(id, token);
  for (TokenId byte : parts_.byte_fallback) tokens.erase(byte);
  SafeCuts cuts;
  for (const BpeParts::Merge& merge : parts_.merges) {
    const auto left = tokens.find(merge.left);
    const auto right = tokens.find(merge.right);
    // A token of a byte is no text; a merge of one could reach across any border.
    if (left == tokens.end() || right == tokens.end()) return;
    if (left->second.empty() || right->second.empty()) return;
    size_t last = left->second.size() - 1;
    while ((static_cast<unsigned char>(left->second[last]) & 0xc0) == 0x80) --last;
    size_t first = 0;
    const char32_t before = NextCodePoint(left->second, last);
    cuts.Join(before, NextCodePoint(right->second, first));
  }
  cuts_ = std::move(cuts);
}

Bpe::Rule Bpe::FindRule(TokenId left, TokenId right) const {
  const auto rule = rules_.find(PairKey(left, right));
  return rule == rules_.end() ? kNoRule : rule->second;
}

void Bpe::AddUnknown(uint32_t end, bool& previous_unknown, std::vector<Symbol>& symbols) const {
  if (parts_.unknown < 0) return;
  if (previous_unknown && parts_.fuse_unknown) {
    symbols.back().end = end;
  } else {
    symbols.push_back({parts_.unknown, end});
  }
  previous_unknown = true;
}

void Bpe::Symbols(std::string_view word, std::vector<Symbol>& symbols) const {
  symbols.clear();
  if (parts_.characters) return CharacterSymbols(word, symbols);
  bool previous_unknown = false;
  for (size_t i = 0; i < word.size(); ++i) {
    const TokenId id = byte_ids_[static_cast<unsigned char>(word[i])];
    const uint32_t end = static_cast<uint32_t>(i + 1);
    if (id < 0) {
      AddUnknown(end, previous_unknown, symbols);
    } else {
      symbols.push_back({id, end});
      previous_unknown = false;
    }
  }
}

TokenId Bpe::CharacterToken(char32_t character) const {
  if (character < 0x80) return byte_ids_[character];
  const auto known = character_ids_.find(character);
  return known == character_ids_.end() ? -1 : known->second;
}

void Bpe::CharacterSymbols(std::string_view word, std::vector<Symbol>& symbols) const {
  bool previous_unknown = false;
  for (size_t position = 0; position < word.size();) {
    size_t end = position;
    const TokenId id = CharacterToken(NextCodePoint(word, end));
    if (id >= 0) {
      symbols.push_back({id, static_cast<uint32_t>(end)});
      previous_unknown = false;
    } else if (parts_.byte_fallback.empty()) {
      AddUnknown(static_cast<uint32_t>(end), previous_unknown, symbols);
    } else {
      for (size_t i = position; i < end; ++i) {
        const TokenId byte = parts_.byte_fallback[static_cast<unsigned char>(word[i])];
        symbols.push_back({byte, static_cast<uint32_t>(i + 1)});
      }
    }
    position = end;
  }
}

void Bpe::MergeShort(std::vector<Symbol>& symbols) const {
  Rule rules[kShortWord];
  size_t count = symbols.size();
  for (size_t i = 0; i + 1 < count; ++i) rules[i] = FindRule(symbols[i].id, symbols[i + 1].id);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (rules[i].rank < rules[best].rank) best = i;
    }
    if (rules[best].rank == kNoRule.rank) break;
    symbols[best] = {rules[best].result, symbols[best + 1].end};
    std::copy(symbols.begin() + best + 2, symbols.begin() + count, symbols.begin() + best + 1);
    std::copy(rules + best + 1, rules + count - 1, rules + best);
    --count;
    if (best > 0) rules[best - 1] = FindRule(symbols[best - 1].id, symbols[best].id);
    if (best + 1 < count) rules[best] = FindRule(symbols[best].id, symbols[best + 1].id);
  }
  symbols.resize(count);
}

void Bpe::MergeLong(std::vector<Symbol>& symbols) const {
  // The symbols are a linked list; a symbol that was merged into its left neighbour has id -1.
  struct Candidate {
    int32_t rank;
    uint32_t position;
    TokenId left;
    TokenId right;
    TokenId result;
    bool operator>(const Candidate& other) const {
      return std::pair(rank, position) > std::pair(other.rank, other.position);
    }
  };
  constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();
  const uint32_t count = static_cast<uint32_t>(symbols.size());
  std::vector<uint32_t> next(count), previous(count);
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto push = [&](uint32_t left, uint32_t right) {
    const Rule rule = FindRule(symbols[left].id, symbols[right].id);
    if (rule.rank == kNoRule.rank) return;
    queue.push({rule.rank, left, symbols[left].id, symbols[right].id, rule.result});
  };
  for (uint32_t i = 0; i < count; ++i) {
    previous[i] = i == 0 ? kNone : i - 1;
    next[i] = i + 1 == count ? kNone : i + 1;
    if (i > 0) push(i - 1, i);
  }
  while (!queue.empty()) {
    const Candidate candidate = queue.top();
    queue.pop();
    const uint32_t left = candidate.position;
    const uint32_t right = next[left];
    // Merges since may have taken either symbol away.
    if (symbols[left].id != candidate.left || right == kNone ||
        symbols[right].id != candidate.right)
      continue;
    symbols[left] = {candidate.result, symbols[right].end};
    symbols[right].id = -1;
    next[left] = next[right];
    if (next[left] != kNone) previous[next[left]] = left;
    if (previous[left] != kNone) push(previous[left], left);
    if (next[left] != kNone) push(left, next[left]);
  }
  symbols.erase(
      std::remove_if(symbols.begin(), symbols.end(), [](const Symbol& s) { return s.id < 0; }),
      symbols.end());
}

void Bpe::Merge(std::string_view word, std::vector<Symbol>& symbols) const {
  Symbols(word, symbols);
  symbols.size() <= kShortWord ? MergeShort(symbols) : MergeLong(symbols);
}

bool Bpe::IsItsOwnEncoding(std::string_view word, TokenId id) const {
  std::atomic<uint8_t>& known = own_encoding_[static_cast<size_t>(id)];
  uint8_t state = known.load(std::memory_order_relaxed);
  if (state == 0) {
    std::vector<Symbol> symbols;
    Merge(word, symbols);
    state = symbols.size() == 1 && symbols[0].id == id ? 1 : 2;
    known.store(state, std::memory_order_relaxed);
  }
  return state == 1;
}

void Bpe::Encode(std::string_view word, size_t offset, Output output) const {
  if (parts_.ignore_merges) {
    const auto token = parts_.vocabulary.find(AbslView(word));
    if (token != parts_.vocabulary.end()) {
      output.ids.push_back(token->second);
      if (output.ends != nullptr) output.ends->push_back(offset + word.size());
      return;
    }
  }
  if (!cuts_.has_value()) return EncodePiece(word, offset, output);
  for (size_t begin = 0; begin < word.size();) {
    const size_t end = cuts_->EndOfPiece(word, begin);
    EncodePiece(word.substr(begin, end - begin), offset + begin, output);
    begin = end;
  }
}

void Bpe::EncodePiece(std::string_view word, size_t offset, Output output) const {
  if (word.size() > WordMemo::kMaxBytes) return EncodeAnew(word, offset, output);
  thread_local WordMemo memo;
  WordMemo::Entry& entry = memo.Place(word);
  if (!entry.Holds(number_, word)) {
    const size_t first = output.ids.size();
    thread_local std::vector<size_t> ends;
    ends.clear();
    EncodeAnew(word, 0, {output.ids, &ends});
    if (output.ends != nullptr) {
      for (const size_t end : ends) output.ends->push_back(offset + end);
    }
    Keep(word, absl::MakeConstSpan(output.ids).subspan(first), ends, entry);
    return;
  }
  output.ids.insert(output.ids.end(), entry.ids, entry.ids + entry.tokens);
  if (output.ends == nullptr) return;
  for (uint8_t i = 0; i < entry.tokens; ++i) output.ends->push_back(offset + entry.ends[i]);
}

void Bpe::Keep(std::string_view word, absl::Span<const TokenId> ids, absl::Span<const size_t> ends,
               WordMemo::Entry& entry) const {
  if (ids.size() > WordMemo::kMaxTokens) return;
  entry.owner = number_;
  entry.bytes = static_cast<uint8_t>(word.size());
  entry.tokens = static_cast<uint8_t>(ids.size());
  std::memcpy(entry.word, word.data(), word.size());
  for (size_t i = 0; i < entry.tokens; ++i) {
    entry.ids[i] = ids[i];
    entry.ends[i] = static_cast<uint8_t>(ends[i]);
  }
}

void Bpe::EncodeAnew(std::string_view word, size_t offset, Output output) const {
  // Most words of ordinary text are tokens as a whole.
  const auto token = parts_.vocabulary.find(AbslView(word));
  if (token != parts_.vocabulary.end() && IsItsOwnEncoding(word, token->second)) {
    output.ids.push_back(token->second);
    if (output.ends != nullptr) output.ends->push_back(offset + word.size());
    return;
  }
  thread_local std::vector<Symbol> symbols;
  Merge(word, symbols);
  for (const Symbol& symbol : symbols) {
    output.ids.push_back(symbol.id);
    if (output.ends != nullptr) output.ends->push_back(offset + symbol.end);
  }
}

}  // namespace dropbp::data
