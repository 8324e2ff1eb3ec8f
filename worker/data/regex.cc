#include "worker/data/regex.h"

#include <oniguruma.h>

#include "absl/strings/str_cat.h"

namespace dropbp::data {
namespace {

constexpr size_t kMaxPatternBytes = 4096;
// A search of ordinary text takes a few steps a character; these bound a pattern that backtracks
// without end.
constexpr unsigned long kMaxRetries = 10'000'000;
constexpr unsigned int kMaxStackEntries = 1'000'000;

const OnigUChar* Bytes(std::string_view text) {
  return reinterpret_cast<const OnigUChar*>(text.data());
}

std::string Reason(int code, OnigErrorInfo* info) {
  OnigUChar message[ONIG_MAX_ERROR_MESSAGE_LEN];
  const int length = onig_error_code_to_str(message, code, info);
  return std::string(reinterpret_cast<const char*>(message), static_cast<size_t>(length));
}

// What a search needs, made once a thread.
struct SearchState {
  SearchState() : limits(onig_new_match_param()), region(onig_region_new()) {
    onig_initialize_match_param(limits);
    onig_set_retry_limit_in_match_of_match_param(limits, kMaxRetries);
    onig_set_retry_limit_in_search_of_match_param(limits, kMaxRetries);
    onig_set_match_stack_limit_size_of_match_param(limits, kMaxStackEntries);
  }
  ~SearchState() {
    onig_free_match_param(limits);
    onig_region_free(region, 1);
  }
  SearchState(const SearchState&) = delete;
  SearchState& operator=(const SearchState&) = delete;

  OnigMatchParam* const limits;
  OnigRegion* const region;
};

}  // namespace

void InitializeOniguruma() {
  static const int initialized = [] {
    OnigEncoding encodings[] = {ONIG_ENCODING_UTF8};
    return onig_initialize(encodings, 1);
  }();
  (void)initialized;
}

absl::StatusOr<std::unique_ptr<const Regex>> Regex::Compile(std::string_view pattern) {
  InitializeOniguruma();
  if (pattern.size() > kMaxPatternBytes) {
    return absl::InvalidArgumentError(absl::StrCat("a regular expression of ", pattern.size(),
                                                   " bytes, legal are at most ", kMaxPatternBytes));
  }
  OnigRegex compiled = nullptr;
  OnigErrorInfo info;
  const int code = onig_new(&compiled, Bytes(pattern), Bytes(pattern) + pattern.size(),
                            ONIG_OPTION_NONE, ONIG_ENCODING_UTF8, ONIG_SYNTAX_DEFAULT, &info);
  if (code != ONIG_NORMAL) {
    return absl::InvalidArgumentError(absl::StrCat("regular expression: ", Reason(code, &info)));
  }
  return std::unique_ptr<const Regex>(new Regex(compiled));
}

Regex::~Regex() { onig_free(compiled_); }

absl::StatusOr<Regex::Match> Regex::Search(std::string_view text, size_t from) const {
  thread_local const SearchState state;
  const OnigUChar* begin = Bytes(text);
  const OnigUChar* end = begin + text.size();
  const int position = onig_search_with_param(compiled_, begin, end, begin + from, end,
                                              state.region, ONIG_OPTION_NONE, state.limits);
  if (position == ONIG_MISMATCH) return Match{};
  if (position < 0) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "regular expression on a text of ", text.size(), " bytes: ", Reason(position, nullptr)));
  }
  return Match{true, static_cast<size_t>(state.region->beg[0]),
               static_cast<size_t>(state.region->end[0])};
}

}  // namespace dropbp::data
