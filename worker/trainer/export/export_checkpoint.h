// A checkpoint -> the result of a job that had ended there: an adapter folder as PEFT has it, or a
// model folder.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/status.h"
#include "worker/trainer/checkpoint/checkpoint_reader.h"

namespace dropbp::trainer {

struct ExportOptions {
  std::string checkpoint_dir;  // with its job.yaml, as `dropbp download --checkpoint` writes it
  std::string model_dir;       // of the model that the job trains
  std::string out_dir;         // must not exist, or be empty
  CheckpointValues values = CheckpointValues::kOwn;
};

struct ExportReport {
  int64_t step = 0;       // optimizer steps after which a job had these values
  bool is_model = false;  // the folder is that of a model, not of an adapter
};

// The files are the same bytes as those of the job. Nothing is written unless job and checkpoint
// belong together and every check of LoadCheckpointValues holds. Errors name what is wrong.
absl::StatusOr<ExportReport> ExportCheckpoint(const ExportOptions& options);

}  // namespace dropbp::trainer
