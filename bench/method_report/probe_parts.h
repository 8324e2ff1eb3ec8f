// What a probe runs on.
#pragma once

#include <memory>

#include "bench/method_report/sensitivity.h"
#include "core/base/status.h"
#include "worker/trainer/model/decoder.h"
#include "worker/trainer/train/batch.h"

namespace dropbp::bench {

// The first samples of the data in one micro-batch.
absl::StatusOr<trainer::StepBatch> ProbeBatchOf(const ProbeOptions& options);

// The model, with adapters that are not zero. The same at every call.
absl::StatusOr<std::unique_ptr<trainer::Decoder>> ProbeModelOf(const ProbeOptions& options);

}  // namespace dropbp::bench
