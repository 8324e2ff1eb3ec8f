// The bad records of a data file: the first ones in words, the others as a count.
#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"

namespace dropbp::data {

class LineErrors {
 public:
  // `unit` is what tells where a record is: "line", or "row" in a file without lines.
  LineErrors(std::string path, std::string unit) : path_(std::move(path)), unit_(std::move(unit)) {}

  // Notes why a record is refused.
  void Add(int64_t line, const absl::Status& status);

  // OK if nothing was noted; else INVALID_ARGUMENT with at most 20 errors, one a line of text, and
  // the count of others.
  absl::Status Result() const;

 private:
  const std::string path_;
  const std::string unit_;
  std::vector<std::string> shown_;
  int64_t count_ = 0;
};

}  // namespace dropbp::data
