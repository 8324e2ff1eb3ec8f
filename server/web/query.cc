#include "server/web/query.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"

namespace dropbp::server {
namespace {

constexpr size_t kMostParameters = 32;

bool IsPlain(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '_' || c == '-';
  });
}

}  // namespace

absl::StatusOr<QueryParameters> ParseQuery(absl::string_view query) {
  QueryParameters parameters;
  if (query.empty()) return parameters;
  for (const absl::string_view part : absl::StrSplit(query, '&')) {
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(part, absl::MaxSplits('=', 1));
    if (!IsPlain(pair.first) || !IsPlain(pair.second) || parameters.size() == kMostParameters) {
      return absl::InvalidArgumentError(
          "query: legal are up to 32 NAME=VALUE, separated by &, of letters, digits, _ and -");
    }
    parameters.emplace_back(pair.first, pair.second);
  }
  return parameters;
}

}  // namespace dropbp::server
