// Whether a generated answer is the expected one.
#pragma once

#include <string>

namespace dropbp::trainer {

// Without white space at both ends: equal texts; or, where the expected answer is a JSON object or
// array, equal JSON values, so that the order of keys and spacing do not count.
bool AnswersMatch(const std::string& expected, const std::string& answer);

}  // namespace dropbp::trainer
