// What a job consists of between two optimizer steps, and the file that one rank writes of it.
// Batches, masks, dropout and learning rate are functions of (seed, step): the next step is all
// that there is to remember of them. docs/checkpoints.md tells the format.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/trainer/checkpoint/part_state.h"
#include "worker/trainer/model/decoder.h"
#include "worker/trainer/optim/adamw.h"

namespace dropbp::trainer {

// All but parameters and moments.
struct TrainingState : PartState {
  // Parameters at the best evaluation by name, on the CPU: on rank 0, where they are to be the
  // job's result.
  std::map<std::string, at::Tensor> best_values = {};
};

// Whose part it is.
struct PartOwner {
  std::string identity;  // JobIdentity()
  int rank = 0;
  int world_size = 1;
};

// One rank's part in memory: copies, so that training may go on.
struct CheckpointPartData {
  PartOwner owner;
  TrainingState state;                        // best_values are written too
  std::map<std::string, at::Tensor> tensors;  // by name in the file; on the CPU
};

// Names in the file, beside those of part_state.h.
std::string ValueName(const std::string& parameter);
std::string FirstMomentName(const std::string& parameter);
std::string SecondMomentName(const std::string& parameter);
std::string UpdatesName(const std::string& parameter);
std::string BestValueName(const std::string& parameter);

// A copy in host memory that nothing else refers to.
at::Tensor HostCopy(const at::Tensor& tensor);

// Copies this rank's share (WriterOf() by bytes, over the parameters in their order) of parameters
// and moments. Throws what torch throws.
CheckpointPartData CopyPart(const PartOwner& owner, const TrainingState& state,
                            const std::vector<TrainableParameter>& parameters,
                            const AdamW& optimizer);

// Writes it durably and atomically: the file appears whole or not at all.
absl::Status WritePart(const std::string& path, const CheckpointPartData& part);

}  // namespace dropbp::trainer
