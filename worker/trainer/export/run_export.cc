#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "worker/trainer/export/export_checkpoint.h"
#include "worker/trainer/export/verb.h"

namespace dropbp::trainer {
namespace {

absl::Status Export(const ExportOptions& options) {
  ASSIGN_OR_RETURN(const ExportReport report, ExportCheckpoint(options));
  std::fprintf(stderr, "exported to %s: the %s after %lld steps\n", options.out_dir.c_str(),
               report.is_model ? "model" : "adapter", static_cast<long long>(report.step));
  return absl::OkStatus();
}

}  // namespace

int RunExport(int argc, char** argv) {
  CLI::App app(
      "Write what a checkpoint has trained as a job leaves it: an adapter folder that PEFT opens, "
      "or with method full a model folder.",
      "dropbp-trainer export");
  ExportOptions options;
  bool best = false;
  int threads = 0;
  app.add_option("--checkpoint", options.checkpoint_dir,
                 "Folder that `dropbp download JOB --checkpoint STEP` has written")
      ->required();
  app.add_option("--model", options.model_dir, "Hugging Face folder of the model that was trained")
      ->required();
  app.add_option("--out", options.out_dir, "Folder to write; must not exist, or be empty")
      ->required();
  app.add_flag("--best", best,
               "The weights of the best evaluation so far, which checkpoints of a job with "
               "evaluation.result: best hold beside their own");
  app.add_option("--threads", threads, "CPU threads (default: all cores)")
      ->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  if (threads > 0) at::set_num_threads(threads);
  if (best) options.values = CheckpointValues::kBest;
  absl::Status status;
  try {
    status = Export(options);
  } catch (const c10::Error& error) {
    status = absl::InternalError(error.what_without_backtrace());
  }
  if (status.ok()) return 0;
  std::fprintf(stderr, "dropbp-trainer export: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace dropbp::trainer
