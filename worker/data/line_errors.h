// The bad lines of a data file: the first ones in words, the others as a count.
#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"

namespace dropbp::data {

class LineErrors {
 public:
  explicit LineErrors(std::string path) : path_(std::move(path)) {}

  // Notes why a line is refused.
  void Add(int64_t line, const absl::Status& status);

  // OK if nothing was noted; else INVALID_ARGUMENT with at most 20 errors, one a line of text, and
  // the count of others.
  absl::Status Result() const;

 private:
  const std::string path_;
  std::vector<std::string> shown_;
  int64_t count_ = 0;
};

}  // namespace dropbp::data
