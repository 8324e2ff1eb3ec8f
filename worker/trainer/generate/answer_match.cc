#include "worker/trainer/generate/answer_match.h"

#include "absl/strings/ascii.h"
#include "worker/hf/json.h"

namespace dropbp::trainer {

bool AnswersMatch(const std::string& expected, const std::string& answer) {
  const std::string want(absl::StripAsciiWhitespace(expected));
  const std::string got(absl::StripAsciiWhitespace(answer));
  if (want == got) return true;
  const auto want_value = hf::ParseJson(want);
  if (!want_value.ok() || !want_value->is_structured()) return false;
  const auto got_value = hf::ParseJson(got);
  return got_value.ok() && *want_value == *got_value;
}

}  // namespace dropbp::trainer
