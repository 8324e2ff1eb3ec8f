#include "worker/trainer/generate/quantization_flags.h"

#include <CLI/CLI.hpp>

namespace dropbp::trainer {

void AddQuantizationFlags(CLI::App& app, QuantizationFlags& flags) {
  app.add_option("--base", flags.base,
                 "Base weights: original, or nf4: in 4 bits, as method qlora trains on them")
      ->check(CLI::IsMember({"original", "nf4"}))
      ->capture_default_str();
  app.add_option("--block-size", flags.settings.block_size, "Of nf4: the job's qlora.block_size")
      ->check(CLI::IsMember({32, 64, 128, 256, 512, 1024, 2048, 4096}))
      ->capture_default_str();
  app.add_option("--double-quant", flags.settings.double_quant,
                 "Of nf4: the job's qlora.double_quant")
      ->capture_default_str();
}

}  // namespace dropbp::trainer
