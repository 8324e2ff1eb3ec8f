#include "worker/data/splitter.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/data/code_points.h"
#include "worker/data/regex.h"
#include "worker/data/utf8.h"
#include "worker/data/word_scanner.h"
#include "worker/hf/json.h"

namespace dropbp::data {
namespace {

class Digits : public Splitter {
 public:
  explicit Digits(bool individual) : individual_(individual) {}

  absl::Status Split(std::string_view text, size_t offset,
                     std::vector<size_t>& ends) const override {
    const uint8_t* classes = CodePointClasses();
    bool previous_numeric = false;
    for (size_t position = 0; position < text.size();) {
      const size_t begin = position;
      const bool numeric = (classes[NextCodePoint(text, position)] & kNumeric) != 0;
      const bool border = numeric != previous_numeric || (numeric && individual_);
      if (border && begin > 0) ends.push_back(offset + begin);
      previous_numeric = numeric;
    }
    if (!text.empty()) ends.push_back(offset + text.size());
    return absl::OkStatus();
  }

 private:
  const bool individual_;
};

class RegexMatches : public Splitter {
 public:
  RegexMatches(std::unique_ptr<const Regex> regex, Between between)
      : regex_(std::move(regex)), between_(between) {}

  absl::Status Split(std::string_view text, size_t offset,
                     std::vector<size_t>& ends) const override {
    size_t border = 0;  // Where the last piece ended.
    const auto cut = [&](size_t position) {
      if (position > border) ends.push_back(offset + position);
      border = position;
    };
    for (size_t from = 0; from < text.size();) {
      ASSIGN_OR_RETURN(const Regex::Match match, regex_->Search(text, from));
      if (!match.found) break;
      if (match.begin > border && between_ == Between::kRefused) return LeftOver(text, border);
      cut(match.begin);
      cut(match.end);
      from = match.end;
      // An empty match is no piece, but a border; the next one begins a character later.
      if (match.begin == match.end && from < text.size()) {
        from += CharacterBytes(static_cast<unsigned char>(text[from]));
      }
    }
    if (border < text.size() && between_ == Between::kRefused) return LeftOver(text, border);
    cut(text.size());
    return absl::OkStatus();
  }

 private:
  static absl::Status LeftOver(std::string_view text, size_t position) {
    return absl::InvalidArgumentError(absl::StrCat("the tokenizer's pattern does not match ",
                                                   hf::QuoteForError(text.substr(position)),
                                                   " and would remove it"));
  }

  const std::unique_ptr<const Regex> regex_;
  const Between between_;
};

class Occurrences : public Splitter {
 public:
  Occurrences(std::string delimiter, Delimiter behavior)
      : delimiter_(std::move(delimiter)), behavior_(behavior) {}

  absl::Status Split(std::string_view text, size_t offset,
                     std::vector<size_t>& ends) const override {
    bool previous_is_match = false;
    size_t border = 0;  // Everything before belongs to a part.
    // A part is an occurrence, or what stands between two; `joined`: with the part before it.
    const auto add = [&](size_t end, bool is_match) {
      const bool joined =
          border > 0 && is_match != previous_is_match &&
          behavior_ == (is_match ? Delimiter::kMergedWithPrevious : Delimiter::kMergedWithNext);
      if (joined) ends.pop_back();
      ends.push_back(offset + end);
      border = end;
      previous_is_match = is_match;
    };
    while (border < text.size()) {
      const size_t found = std::min(text.find(delimiter_, border), text.size());
      if (found > border) add(found, false);
      if (found < text.size()) add(found + delimiter_.size(), true);
    }
    return absl::OkStatus();
  }

 private:
  const std::string delimiter_;
  const Delimiter behavior_;
};

class Scanned : public Splitter {
 public:
  explicit Scanned(WordScanner scanner) : scanner_(scanner) {}

  absl::Status Split(std::string_view text, size_t offset,
                     std::vector<size_t>& ends) const override {
    const uint8_t* classes = CodePointClasses();
    for (size_t position = 0; position < text.size();) {
      position = scanner_(classes, text, position);
      ends.push_back(offset + position);
    }
    return absl::OkStatus();
  }

 private:
  const WordScanner scanner_;
};

}  // namespace

const std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

const std::string_view kTekkenPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

std::unique_ptr<const Splitter> DigitsSplitter(bool individual_digits) {
  return std::make_unique<Digits>(individual_digits);
}

absl::StatusOr<std::unique_ptr<const Splitter>> RegexSplitter(std::string_view pattern,
                                                              Between between) {
  ASSIGN_OR_RETURN(auto regex, Regex::Compile(pattern));
  return std::make_unique<RegexMatches>(std::move(regex), between);
}

absl::StatusOr<std::unique_ptr<const Splitter>> PatternSplitter(std::string_view pattern,
                                                                Between between) {
  // Their alternatives match every character: nothing stands between.
  if (pattern == kGpt2Pattern) return std::make_unique<Scanned>(&ScanGpt2Word);
  if (pattern == kLlama3Pattern) return std::make_unique<Scanned>(&ScanLlama3Word);
  if (pattern == kQwen2Pattern) return std::make_unique<Scanned>(&ScanQwen2Word);
  if (pattern == kTekkenPattern) return std::make_unique<Scanned>(&ScanTekkenWord);
  return RegexSplitter(pattern, between);
}

std::unique_ptr<const Splitter> TextSplitter(std::string text, Delimiter delimiter) {
  return std::make_unique<Occurrences>(std::move(text), delimiter);
}

}  // namespace dropbp::data
