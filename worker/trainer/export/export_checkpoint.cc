#include "worker/trainer/export/export_checkpoint.h"

#include <filesystem>
#include <memory>

#include "absl/strings/str_cat.h"
#include "core/checkpoint/checkpoint_job.h"
#include "worker/trainer/model/adapter_files.h"

namespace dropbp::trainer {
namespace {

namespace fs = std::filesystem;

absl::Status CheckIsFree(const std::string& out_dir) {
  std::error_code error;
  if (!fs::exists(out_dir, error)) return absl::OkStatus();
  if (fs::is_directory(out_dir, error) && fs::is_empty(out_dir, error)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--out: ", out_dir, " is there already, legal is a new or an empty folder"));
}

}  // namespace

absl::StatusOr<ExportReport> ExportCheckpoint(const ExportOptions& options) {
  RETURN_IF_ERROR(CheckIsFree(options.out_dir));
  ASSIGN_OR_RETURN(const JobSpec spec, ReadCheckpointJob(options.checkpoint_dir));
  ASSIGN_OR_RETURN(const std::unique_ptr<Decoder> decoder,
                   Decoder::Load(options.model_dir, OptionsFor(spec, "cpu")));
  const absl::StatusOr<PartState> state =
      LoadCheckpointValues(options.checkpoint_dir, decoder->trainable(), options.values);
  if (absl::IsInvalidArgument(state.status())) {
    return absl::InvalidArgumentError(absl::StrCat(state.status().message(),
                                                   " (the job trains model \"", spec.model,
                                                   "\", --model is ", options.model_dir, ")"));
  }
  RETURN_IF_ERROR(state.status());
  RETURN_IF_ERROR(WriteResult(options.out_dir, *decoder, spec, options.model_dir));
  const bool best = options.values == CheckpointValues::kBest;
  return ExportReport{.step = best ? state->best.step : state->next_step,
                      .is_model = spec.method == "full"};
}

}  // namespace dropbp::trainer
