#include "worker/data/line_errors.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace dropbp::data {
namespace {

constexpr size_t kShown = 20;

}  // namespace

void LineErrors::Add(int64_t line, const absl::Status& status) {
  ++count_;
  if (shown_.size() >= kShown) return;
  const char* between = unit_ == "line" ? ":" : ": row ";
  shown_.push_back(absl::StrCat(path_, between, line, ": ", status.message()));
}

absl::Status LineErrors::Result() const {
  if (count_ == 0) return absl::OkStatus();
  std::string text = absl::StrJoin(shown_, "\n");
  const int64_t hidden = count_ - static_cast<int64_t>(shown_.size());
  if (hidden > 0) absl::StrAppend(&text, "\n", path_, ": and ", hidden, " more bad ", unit_, "s");
  return absl::InvalidArgumentError(text);
}

}  // namespace dropbp::data
