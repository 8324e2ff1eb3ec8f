// What went wrong in a trainer, as the coordinator must know it.
#pragma once

#include <functional>
#include <string>

#include "core/base/status.h"
#include "core/job/memory_advice.h"
#include "worker/trainer/link/coordinator_link.h"

namespace dropbp::trainer {

// The one door where exceptions of model and optimizer become Status. Runs `body` and returns its
// result; what torch throws becomes "<where>: <message>": RESOURCE_EXHAUSTED with
// `memory_advice` when memory is short, else INTERNAL.
absl::Status RunTorch(const std::string& where, const std::function<absl::Status()>& body,
                      const std::string& memory_advice = kMemoryAdvice);

// What the coordinator should do about an error:
// kRetryable for a lost or slow peer and a lost link (UNAVAILABLE, DEADLINE_EXCEEDED, ABORTED);
// kInternal for a broken promise (INTERNAL, UNKNOWN, DATA_LOSS);
// kUserError for all else: bad input, too little memory, a loss that is not a number. Trying again
// would not help.
FailureKind KindOf(const absl::Status& status);

}  // namespace dropbp::trainer
