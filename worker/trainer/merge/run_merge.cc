#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "worker/trainer/generate/quantization_flags.h"
#include "worker/trainer/merge/merge_model.h"
#include "worker/trainer/merge/verb.h"

namespace dropbp::trainer {
namespace {

absl::Status Merge(const MergeOptions& options) {
  ASSIGN_OR_RETURN(const MergeReport report, MergeModel(options));
  std::fprintf(stderr,
               "merged into %s, %lld file%s; logits differ from base with adapter by %.2g of their "
               "norm (legal %.2g), from base alone by %.2g\n",
               options.out_dir.c_str(), static_cast<long long>(report.shards),
               report.shards == 1 ? "" : "s", report.error, report.tolerance, report.change);
  return absl::OkStatus();
}

}  // namespace

int RunMerge(int argc, char** argv) {
  CLI::App app("Add an adapter to its base model and write the result as a model folder.",
               "dropbp-trainer merge");
  MergeOptions options;
  int threads = 0;
  double shard_gigabytes = 5;
  app.add_option("--model", options.model_dir, "Hugging Face model folder")->required();
  app.add_option("--adapter", options.adapter_dir, "Folder of a LoRA, DoRA or (IA)^3 adapter")
      ->required();
  app.add_option("--out", options.out_dir, "Folder to write; must not exist")->required();
  QuantizationFlags quantization;
  AddQuantizationFlags(app, quantization);
  app.add_option("--max-shard-gb", shard_gigabytes, "Largest weight file, in 10^9 bytes")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--dtype", options.dtype, "Dtype to check the result in")
      ->check(CLI::IsMember({"auto", "fp32", "bf16"}))
      ->capture_default_str();
  app.add_option("--threads", threads, "CPU threads (default: all cores)")
      ->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  if (threads > 0) at::set_num_threads(threads);
  options.max_shard_bytes = static_cast<int64_t>(shard_gigabytes * 1e9);
  options.quantized_base = quantization.Chosen();
  absl::Status status;
  try {
    status = Merge(options);
  } catch (const c10::Error& error) {
    status = absl::InternalError(error.what_without_backtrace());
  }
  if (status.ok()) return 0;
  std::fprintf(stderr, "dropbp-trainer merge: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace dropbp::trainer
