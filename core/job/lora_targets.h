// Which linear modules of a decoder get a low-rank adapter, and of what size: PEFT's rules.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/job/job_spec.h"

namespace re2 {
class RE2;
}

namespace dropbp {

// What one module gets. Its adapter adds scaling * B A x.
struct AdapterShape {
  int64_t rank = 0;  // 0: no adapter
  double scaling = 0;
};

// Immutable; safe to share among threads.
class LoraTargets {
 public:
  // INVALID_ARGUMENT names the field for a pattern that is no regular expression or has
  // no legal number.
  static absl::StatusOr<LoraTargets> Make(const LoraSpec& lora);

  // `module`: a path such as "model.layers.0.self_attn.q_proj". It is a target if it or its end
  // from behind a dot on is one of target_modules, or they are all-linear. Its rank is that of the
  // first key of rank_pattern, in alphabetical order, of which the module's path is a match, as a
  // whole or from behind one of its dots on: "(.*\\.)?(key)"; LoraSpec::rank if there is none.
  // Alpha likewise.
  AdapterShape Of(std::string_view module) const;

 private:
  using Pattern = std::vector<std::pair<std::shared_ptr<const re2::RE2>, double>>;
  static absl::StatusOr<Pattern> Compile(const ModulePattern& pattern, std::string_view field);

  std::vector<std::string> modules_;
  bool rslora_ = false;
  double rank_ = 0;
  double alpha_ = 0;
  Pattern ranks_;
  Pattern alphas_;
};

}  // namespace dropbp
