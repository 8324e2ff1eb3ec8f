// What a part of a checkpoint says beside parameters and moments, and how it is read. Free of
// torch. docs/checkpoints.md tells the format.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/checkpoint/manifest.h"
#include "core/job/evaluation_schedule.h"
#include "worker/hf/safetensors.h"
#include "worker/trainer/link/coordinator_link.h"

namespace dropbp::trainer {

// Version 1 lacks what is known of evaluations, versions 1 and 2 the history of losses.
inline constexpr int kPartVersion = 3;

// Names in the file.
inline constexpr char kStateTensor[] = "state";
inline constexpr char kTotalsTensor[] = "totals";
inline constexpr char kSensitivitiesTensor[] = "sensitivities";
inline constexpr char kEvaluationTensor[] = "evaluation";
inline constexpr char kLossesTensor[] = "losses";
inline constexpr char kValidationStepsTensor[] = "validation_steps";
inline constexpr char kValidationLossesTensor[] = "validation_losses";

// How the whole job went so far. Nothing is computed from it: it tells whoever has no more than the
// checkpoint.
struct LossHistory {
  std::vector<double> losses = {};             // of each step; NaN where not known
  std::vector<int64_t> validation_steps = {};  // steps done at each evaluation, rising
  std::vector<double> validation_losses = {};  // of these evaluations
};

struct PartState {
  int64_t next_step = 0;
  int32_t plan_version = 0;                // of the plan in force
  int non_finite = 0;                      // steps in a row whose loss or gradient was not finite
  std::vector<double> sensitivities = {};  // of the latest probe, by unit; empty before the first
  TrainingTotals totals = {};              // this rank's share
  int64_t evaluated_step = 0;              // of the newest evaluation
  BestEvaluation best = {};
  LossHistory history = {};  // rank 0's alone
};

// Whether the tensor of this name tells of the state; the others are parameters and moments.
bool IsOfPartState(std::string_view name);

// INVALID_ARGUMENT for a file of a version that this program does not read.
absl::Status CheckPartVersion(const hf::SafetensorsFile& file);

// What the file with these tensors says; it must be part `rank` of the manifest's checkpoint, else
// INVALID_ARGUMENT, as for a number that is missing, of another type or out of its range.
absl::StatusOr<PartState> ReadPartState(const std::map<std::string, hf::TensorView>& tensors,
                                        const CheckpointManifest& manifest, int rank);

}  // namespace dropbp::trainer
