// GradNormVar (DropBP, eq. 6): how much the gradient norms of all trainable tensors change when one
// unit is dropped.
#pragma once

#include <vector>

#include "absl/types/span.h"
#include "core/base/status.h"

namespace dropbp {

// S_u = sum over tensors i of (base[i] - dropped[i])^2; a difference of norms.
// INVALID_ARGUMENT if sizes differ or a norm is not finite.
absl::StatusOr<double> GradNormVar(absl::Span<const double> base, absl::Span<const double> dropped);

}  // namespace dropbp
