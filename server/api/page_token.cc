#include "server/api/page_token.h"

#include <map>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/fnv.h"
#include "proto/support/grpc_status.h"

namespace dropbp::server {
namespace {

// Pages of one list belong to one filter.
uint64_t FilterHash(const v1::ListJobsRequest& request) {
  Fnv1a64 hash;
  for (int state : request.states()) hash.Number(static_cast<uint64_t>(state));
  const std::map<std::string, std::string> labels(request.labels().begin(), request.labels().end());
  for (const auto& [key, value] : labels) {
    hash.Number(key.size()).Bytes(key).Number(value.size()).Bytes(value);
  }
  return hash.hash();
}

}  // namespace

std::string MakePageToken(const v1::ListJobsRequest& request, int64_t next_order) {
  if (next_order == 0) return "";
  return absl::WebSafeBase64Escape(absl::StrCat("1:", next_order, ":", FilterHash(request)));
}

absl::StatusOr<int64_t> ReadPageToken(const v1::ListJobsRequest& request) {
  if (request.page_token().empty()) return 0;
  std::string text;
  int64_t order = 0;
  uint64_t filter = 0;
  std::vector<std::string> parts;
  if (absl::WebSafeBase64Unescape(request.page_token(), &text)) parts = absl::StrSplit(text, ':');
  if (parts.size() == 3 && parts[0] == "1" && absl::SimpleAtoi(parts[1], &order) && order > 0 &&
      absl::SimpleAtoi(parts[2], &filter) && filter == FilterHash(request)) {
    return order;
  }
  const FieldViolation violation{"page_token",
                                 "found a token that no earlier page of this list gave; legal is "
                                 "next_page_token of the page before, with the same filter"};
  return WithReason(InvalidFields({&violation, 1}), "INVALID_PAGE_TOKEN");
}

}  // namespace dropbp::server
