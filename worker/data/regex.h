// Oniguruma, the engine that the reference implementation runs tokenizers' patterns with.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "core/base/status.h"

struct re_pattern_buffer;

namespace dropbp::data {

// Starts the library once; later calls do nothing. Thread-safe.
void InitializeOniguruma();

// A compiled pattern over UTF-8. Immutable; safe to share among threads.
class Regex {
 public:
  struct Match {
    bool found = false;
    size_t begin = 0;
    size_t end = 0;
  };

  // INVALID_ARGUMENT for a pattern that is too long (4 KiB) or does not compile, with Oniguruma's
  // reason.
  static absl::StatusOr<std::unique_ptr<const Regex>> Compile(std::string_view pattern);
  ~Regex();
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  // The first match that begins at or after `from`. RESOURCE_EXHAUSTED if the search exceeds its
  // limit of steps.
  absl::StatusOr<Match> Search(std::string_view text, size_t from) const;

 private:
  explicit Regex(re_pattern_buffer* compiled) : compiled_(compiled) {}
  re_pattern_buffer* compiled_;
};

}  // namespace dropbp::data
