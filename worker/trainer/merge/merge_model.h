// Adapter and base model -> one model folder, as transformers writes it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/base/status.h"
#include "core/job/job_spec.h"

namespace dropbp::trainer {

struct MergeOptions {
  std::string model_dir;
  std::string adapter_dir;
  std::string out_dir;  // must not exist
  // Set: what the adapter is added to are the weights that method qlora trained it on, in 4 bits
  // and back. Unset: the model's own.
  std::optional<QloraSpec> quantized_base;
  int64_t max_shard_bytes = int64_t{5'000'000'000};
  std::string dtype = "fp32";  // that the written model is checked in: auto | fp32 | bf16
};

// How the written model's logits stand to those of base and adapter, on a fixed batch of random
// tokens: norms of differences over the norm of the latter.
struct MergeReport {
  double error = 0;   // merged against base with adapter
  double change = 0;  // merged against base alone
  double tolerance = 0;
  int64_t shards = 1;
};

// Adds in fp32, tensor by tensor, and rounds each to the dtype that it has in the model's files;
// memory is that of one shard, and for the check that of one model. The folder appears once all of
// it is written and checked: INTERNAL if the error exceeds the tolerance of that dtype (fp32 1e-4,
// f16 1e-2, bf16 5e-2). INVALID_ARGUMENT for an adapter that changes nothing, and for prompt
// tuning, which has no weights to add.
absl::StatusOr<MergeReport> MergeModel(const MergeOptions& options);

}  // namespace dropbp::trainer
