#include "worker/data/pre_tokenizer.h"

namespace dropbp::data {
namespace {

bool BeginsWith(std::string_view text, std::string_view beginning) {
  return text.substr(0, beginning.size()) == beginning;
}

}  // namespace

NormalizedText Metaspace::Apply(std::string_view text, bool first) const {
  const bool wanted = prepend == Prepend::kAlways || (prepend == Prepend::kFirst && first);
  const bool has_one = BeginsWith(text, " ") || BeginsWith(text, replacement);
  return ReplaceAndPrepend(text, " ", replacement, wanted && !has_one ? replacement : "");
}

absl::StatusOr<std::vector<size_t>> PreTokenizer::WordEnds(std::string_view text) const {
  std::vector<size_t> ends = {text.size()};
  std::vector<size_t> finer;
  for (const auto& splitter : splitters) {
    finer.clear();
    size_t begin = 0;
    for (size_t end : ends) {
      RETURN_IF_ERROR(splitter->Split(text.substr(begin, end - begin), begin, finer));
      begin = end;
    }
    ends.swap(finer);
  }
  return ends;
}

}  // namespace dropbp::data
