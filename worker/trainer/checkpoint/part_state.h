// What a part of a checkpoint says beside parameters and moments, and how it is read. Free of
// torch. docs/checkpoints.md tells the format.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/checkpoint/manifest.h"
#include "core/job/evaluation_schedule.h"
#include "worker/hf/safetensors.h"
#include "worker/trainer/link/coordinator_link.h"

namespace dropbp::trainer {

// Version 1 lacks what is known of evaluations.
inline constexpr int kPartVersion = 2;

// Names in the file.
inline constexpr char kStateTensor[] = "state";
inline constexpr char kTotalsTensor[] = "totals";
inline constexpr char kSensitivitiesTensor[] = "sensitivities";
inline constexpr char kEvaluationTensor[] = "evaluation";

struct PartState {
  int64_t next_step = 0;
  int32_t plan_version = 0;                // of the plan in force
  int non_finite = 0;                      // steps in a row whose loss or gradient was not finite
  std::vector<double> sensitivities = {};  // of the latest probe, by unit; empty before the first
  TrainingTotals totals = {};              // this rank's share
  int64_t evaluated_step = 0;              // of the newest evaluation
  BestEvaluation best = {};
};

// INVALID_ARGUMENT for a file of a version that this program does not read.
absl::Status CheckPartVersion(const hf::SafetensorsFile& file);

// What the file with these tensors says; it must be part `rank` of the manifest's checkpoint, else
// INVALID_ARGUMENT, as for a number that is missing, of another type or out of its range.
absl::StatusOr<PartState> ReadPartState(const std::map<std::string, hf::TensorView>& tensors,
                                        const CheckpointManifest& manifest, int rank);

}  // namespace dropbp::trainer
