// What a rendering may use: a template is a program of someone else.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace dropbp::data::jinja {

class Budget {
 public:
  static constexpr int64_t kMaxSteps = 10'000'000;
  static constexpr int64_t kMaxTextBytes = 64 << 20;       // one string, and the output
  static constexpr int64_t kMaxProducedBytes = 1ll << 30;  // all strings of one rendering

  // RESOURCE_EXHAUSTED once the steps are used up.
  absl::Status Step(int64_t count = 1) {
    steps_ += count;
    if (steps_ <= kMaxSteps) return absl::OkStatus();
    return absl::ResourceExhaustedError(
        absl::StrCat("the template takes more than ", kMaxSteps, " steps"));
  }

  // To be called before a text of `text_bytes` is searched for one of `pattern_bytes`: at worst
  // every byte of one is compared with every byte of the other.
  absl::Status Search(size_t text_bytes, size_t pattern_bytes) {
    const double comparisons = static_cast<double>(text_bytes) * static_cast<double>(pattern_bytes);
    return Step(static_cast<int64_t>(std::min(comparisons / 4096, 2.0 * kMaxSteps)));
  }

  // To be called before a string of this size is made.
  absl::Status Bytes(int64_t count) {
    produced_ += count;
    if (count <= kMaxTextBytes && produced_ <= kMaxProducedBytes) return absl::OkStatus();
    return absl::ResourceExhaustedError(absl::StrCat("the template makes a text of more than ",
                                                     kMaxTextBytes, " bytes, or more than ",
                                                     kMaxProducedBytes, " bytes in all"));
  }

 private:
  int64_t steps_ = 0;
  int64_t produced_ = 0;
};

}  // namespace dropbp::data::jinja
