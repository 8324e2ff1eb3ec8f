#include "core/job/lora_targets.h"

#include <re2/re2.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/text.h"

namespace dropbp {
namespace {

// Memory of one compiled expression; beyond it, RE2 says that the expression is too large.
constexpr int64_t kMaxExpressionBytes = 1 << 20;
constexpr double kMaxRank = 1024;
constexpr double kMaxAlpha = 65536;

bool IsTarget(const std::string& target, std::string_view module) {
  if (target == "all-linear" || target == module) return true;
  return module.size() > target.size() && module.ends_with(target) &&
         module[module.size() - target.size() - 1] == '.';
}

template <typename Pattern>
double FirstMatch(const Pattern& pattern, std::string_view module, double fallback) {
  for (const auto& [expression, value] : pattern) {
    if (re2::RE2::FullMatch(re2::StringPiece(module.data(), module.size()), *expression))
      return value;
  }
  return fallback;
}

}  // namespace

absl::StatusOr<LoraTargets> LoraTargets::Make(const LoraSpec& lora) {
  LoraTargets targets;
  targets.modules_ = lora.target_modules;
  targets.rslora_ = lora.use_rslora;
  targets.rank_ = static_cast<double>(lora.rank);
  targets.alpha_ = lora.alpha;
  ASSIGN_OR_RETURN(targets.ranks_, Compile(lora.rank_pattern, "lora.rank_pattern"));
  ASSIGN_OR_RETURN(targets.alphas_, Compile(lora.alpha_pattern, "lora.alpha_pattern"));
  for (const auto& [expression, rank] : targets.ranks_) {
    if (rank >= 1 && rank <= kMaxRank && rank == std::floor(rank)) continue;
    return absl::InvalidArgumentError(absl::StrCat("lora.rank_pattern: found ", rank,
                                                   ", legal is a whole number from 1 to ",
                                                   static_cast<int64_t>(kMaxRank)));
  }
  for (const auto& [expression, alpha] : targets.alphas_) {
    if (alpha >= 0 && alpha <= kMaxAlpha) continue;
    return absl::InvalidArgumentError(absl::StrCat("lora.alpha_pattern: found ", alpha,
                                                   ", legal is a number from 0 to ",
                                                   static_cast<int64_t>(kMaxAlpha)));
  }
  return targets;
}

absl::StatusOr<LoraTargets::Pattern> LoraTargets::Compile(const ModulePattern& pattern,
                                                          std::string_view field) {
  re2::RE2::Options options(re2::RE2::Quiet);
  options.set_max_mem(kMaxExpressionBytes);
  Pattern compiled;
  for (const auto& [key, value] : pattern) {
    auto expression =
        std::make_shared<const re2::RE2>(absl::StrCat("(?:.*\\.)?(?:", key, ")"), options);
    if (!expression->ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(AbslView(field), ": found \"", key,
                       "\", legal is a regular expression (RE2): ", expression->error()));
    }
    compiled.emplace_back(std::move(expression), value);
  }
  return compiled;
}

AdapterShape LoraTargets::Of(std::string_view module) const {
  const bool targeted =
      std::any_of(modules_.begin(), modules_.end(),
                  [&](const std::string& target) { return IsTarget(target, module); });
  if (!targeted) return {};
  const double rank = FirstMatch(ranks_, module, rank_);
  const double alpha = FirstMatch(alphas_, module, alpha_);
  return {static_cast<int64_t>(rank), alpha / (rslora_ ? std::sqrt(rank) : rank)};
}

}  // namespace dropbp
