#include "worker/trainer/generate/model_flags.h"

#include <CLI/CLI.hpp>

namespace dropbp::trainer {

void AddModelFlags(CLI::App& app, ModelFlags& flags) {
  app.add_option("--model", flags.model_dir, "Hugging Face model folder")->required();
  app.add_option("--adapter", flags.adapter_dir, "Folder of an adapter");
  AddQuantizationFlags(app, flags.quantization);
  app.add_option("--dtype", flags.dtype, "Dtype to compute in")
      ->check(CLI::IsMember({"auto", "fp32", "bf16"}));
  app.add_option("--device", flags.device, "cpu or cuda:<index>");
  app.add_option("--threads", flags.threads, "CPU threads (default: all cores)")
      ->check(CLI::PositiveNumber);
}

}  // namespace dropbp::trainer
