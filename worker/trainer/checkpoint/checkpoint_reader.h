// Going on, or beginning, from a checkpoint.
#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/trainer/checkpoint/checkpoint_part.h"

namespace dropbp::trainer {

// Reads the checkpoint in `folder` into parameters and optimizer and returns the rest of the state,
// whatever number of ranks wrote it. What earlier steps add up to, and the values of the best
// evaluation, are given to rank 0 only.
//
// Before anything of it is used: the manifest is checked, then size and SHA-256 of every part, then
// that the parts belong together and hold each parameter exactly once with its shape. DATA_LOSS for
// content that has changed, FAILED_PRECONDITION for a checkpoint of another job (`identity`),
// INVALID_ARGUMENT for all else; parameters and optimizer are unchanged then. Throws what torch
// throws.
absl::StatusOr<TrainingState> LoadCheckpoint(const std::string& folder, const std::string& identity,
                                             int rank,
                                             const std::vector<TrainableParameter>& parameters,
                                             AdamW& optimizer);

// Of its own step, or of the best evaluation before it.
enum class CheckpointValues { kOwn, kBest };

// Reads the parameters alone, from a checkpoint of whatever job trains the same ones; returns what
// it says beside them. Checked and refused as above, but for the identity; INVALID_ARGUMENT too
// where it has no values of a best evaluation.
absl::StatusOr<PartState> LoadCheckpointValues(const std::string& folder,
                                               const std::vector<TrainableParameter>& parameters,
                                               CheckpointValues which = CheckpointValues::kOwn);

}  // namespace dropbp::trainer
