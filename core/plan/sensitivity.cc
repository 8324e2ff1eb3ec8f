#include "core/plan/sensitivity.h"

#include <cmath>

#include "absl/strings/str_cat.h"

namespace dropbp {

absl::StatusOr<double> GradNormVar(absl::Span<const double> base,
                                   absl::Span<const double> dropped) {
  if (base.size() != dropped.size()) {
    return absl::InvalidArgumentError(absl::StrCat("gradient norms: found ", dropped.size(),
                                                   " tensors with a unit dropped and ", base.size(),
                                                   " with none, legal is the same number"));
  }
  double sum = 0;
  for (size_t i = 0; i < base.size(); ++i) {
    const double change = base[i] - dropped[i];
    sum += change * change;
    if (!std::isfinite(sum)) {
      return absl::InvalidArgumentError(absl::StrCat("gradient norms of tensor ", i, ": found ",
                                                     base[i], " and ", dropped[i],
                                                     ", legal is finite"));
    }
  }
  return sum;
}

}  // namespace dropbp
