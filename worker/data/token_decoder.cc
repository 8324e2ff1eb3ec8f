#include "worker/data/token_decoder.h"

#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "worker/data/byte_level.h"
#include "worker/data/utf8.h"

namespace dropbp::data {
namespace {

using Tokens = std::vector<std::string>;

int HexDigit(char c) {
  if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) return -1;
  return c <= '9' ? c - '0' : absl::ascii_tolower(static_cast<unsigned char>(c)) - 'a' + 10;
}

// The byte that a token of the kind <0x0A> stands for.
std::optional<char> FallbackByte(const std::string& token) {
  if (token.size() != 6 || token.compare(0, 3, "<0x") != 0 || token[5] != '>') return std::nullopt;
  const int high = HexDigit(token[3]);
  const int low = HexDigit(token[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<char>(high << 4 | low);
}

void Apply(const TokenDecoder::ByteLevel&, Tokens& tokens) {
  std::string bytes;
  for (const std::string& token : tokens) bytes += TokenToBytes(token).value_or(token);
  tokens = {ReplaceInvalidUtf8(bytes)};
}

void Apply(const TokenDecoder::Replace& step, Tokens& tokens) {
  for (std::string& token : tokens)
    token = absl::StrReplaceAll(token, {{step.pattern, step.content}});
}

void Apply(const TokenDecoder::ByteFallback&, Tokens& tokens) {
  Tokens texts;
  std::string bytes;
  const auto flush = [&] {
    if (bytes.empty()) return;
    if (ValidUtf8Prefix(bytes) < bytes.size()) {
      std::string replaced;
      for (size_t i = 0; i < bytes.size(); ++i) replaced += "\uFFFD";
      bytes = std::move(replaced);
    }
    texts.push_back(std::exchange(bytes, ""));
  };
  for (std::string& token : tokens) {
    if (const auto byte = FallbackByte(token); byte.has_value()) {
      bytes += *byte;
    } else {
      flush();
      texts.push_back(std::move(token));
    }
  }
  flush();
  tokens = std::move(texts);
}

void Apply(const TokenDecoder::Fuse&, Tokens& tokens) { tokens = {absl::StrJoin(tokens, "")}; }

void Apply(const TokenDecoder::Strip& step, Tokens& tokens) {
  const size_t size = step.content.size();
  for (std::string& token : tokens) {
    size_t begin = 0;
    size_t end = token.size();
    for (size_t i = 0; i < step.start && token.compare(begin, size, step.content) == 0; ++i)
      begin += size;
    for (size_t i = 0;
         i < step.stop && end >= begin + size && token.compare(end - size, size, step.content) == 0;
         ++i) {
      end -= size;
    }
    token = token.substr(begin, end - begin);
  }
}

void Apply(const TokenDecoder::Metaspace& step, Tokens& tokens) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    const char* space = i == 0 && step.prepended ? "" : " ";
    tokens[i] = absl::StrReplaceAll(tokens[i], {{step.replacement, space}});
  }
}

}  // namespace

std::string TokenDecoder::Decode(std::vector<std::string> tokens) const {
  if (steps_.empty()) return absl::StrJoin(tokens, " ");
  for (const Step& step : steps_) {
    std::visit([&](const auto& one) { Apply(one, tokens); }, step);
  }
  return absl::StrJoin(tokens, "");
}

}  // namespace dropbp::data
