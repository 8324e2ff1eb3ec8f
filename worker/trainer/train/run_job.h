// A whole job of one rank, from the assignment to the adapter's files.
#pragma once

#include "core/base/status.h"
#include "worker/trainer/link/coordinator_link.h"

namespace dropbp::trainer {

// Loads data and model, meets the other ranks, trains, writes the result (rank 0) and reports that
// it is finished. Failures are returned, not reported: the caller says the last word. CANCELLED if
// the job was asked to stop.
absl::Status RunJob(CoordinatorLink& link);

}  // namespace dropbp::trainer
