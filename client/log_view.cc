#include "client/log_view.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/json.h"

namespace dropbp::client {
namespace {

std::vector<absl::string_view> Lines(absl::string_view text) {
  absl::ConsumeSuffix(&text, "\n");
  return absl::StrSplit(text, '\n');
}

}  // namespace

void LogTail::Add(const v1::ReadJobLogsResponse& part) {
  std::deque<v1::ReadJobLogsResponse>& kept = kept_[part.rank()];
  for (absl::string_view line : Lines(part.text())) {
    v1::ReadJobLogsResponse& one = kept.emplace_back();
    one.set_rank(part.rank());
    one.set_attempt(part.attempt());
    one.set_text(absl::StrCat(line, "\n"));
    if (kept.size() > lines_) kept.pop_front();
  }
}

std::vector<v1::ReadJobLogsResponse> LogTail::Take() {
  std::vector<v1::ReadJobLogsResponse> lines;
  for (auto& [rank, kept] : kept_) lines.insert(lines.end(), kept.begin(), kept.end());
  kept_.clear();
  return lines;
}

void LogView::Show(const v1::ReadJobLogsResponse& part) const {
  if (json_) return PrintJsonLine(part, out_);
  for (absl::string_view line : Lines(part.text())) {
    if (name_rank_)
      out_.stream << out_.Paint(Colour::kFaint, absl::StrCat("rank ", part.rank(), ": "));
    out_.stream << line << '\n';
  }
  out_.stream.flush();
}

}  // namespace dropbp::client
