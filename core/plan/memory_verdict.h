// Whether the ranks of a job fit into the memory of the device slots that they may be given.
#pragma once

#include <cstdint>
#include <string>

#include "absl/types/span.h"
#include "core/base/status.h"
#include "core/job/job_spec.h"
#include "core/plan/memory_estimate.h"
#include "core/plan/model_shape.h"

namespace dropbp {

// Memory, and the slots that live on it: one slot of a GPU, or all CPU slots of a node, which share
// the node's. A rank that is alone on a node has all of it.
struct SlotMemory {
  std::string worker;
  bool cuda = false;
  int slots = 0;
  int64_t bytes = 0;
};

struct MemoryVerdict {
  enum class Kind { kFits, kTight, kTooLarge };
  Kind kind = Kind::kFits;
  std::string figures;  // "a rank is estimated to need 13.1 GiB, ..."; empty if it fits
  std::string advice;   // settings that need less, each with the peak that it alone would give
};

// A job is refused where more than this share of a slot's memory is estimated, and warned of beyond
// the other. What the estimate leaves out (docs/method.md, Memory) has room between the two.
inline constexpr double kRefusedShare = 1.25;
inline constexpr double kTightShare = 0.9;

// The estimate of that stage of a job's schedule which takes most. `total_steps`: 0 if not known.
// INVALID_ARGUMENT if model and job do not fit together.
absl::StatusOr<MemoryEstimate> EstimateJobMemory(const ModelShape& shape, const JobSpec& spec,
                                                 int64_t total_steps, const ComputeSite& site);

// Judges a job whose longest sample has spec.dataset.max_length tokens by the memory of all slots
// that it may be given.
// - kTooLarge: no kind of slots holds min(resources.ranks, slots of that kind) ranks at once, even
//   if the job has them all to itself and each may need kRefusedShare of what there is.
// - kTight: a slot's share of the memory below it, times kTightShare, is less than a rank needs.
// For dtype auto a CPU counts with bf16 for the first and with fp32 for the second, since workers
// do not tell which of the two theirs multiplies. Without slots every job fits.
absl::StatusOr<MemoryVerdict> JudgeMemory(const ModelShape& shape, const JobSpec& spec,
                                          int64_t total_steps,
                                          absl::Span<const SlotMemory> memories);

}  // namespace dropbp
