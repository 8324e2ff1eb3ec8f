// The options that say whether base weights are taken in 4 bits, as method qlora trains on them.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "core/job/job_spec.h"

namespace dropbp::trainer {

struct QuantizationFlags {
  std::string base = "original";  // original | nf4
  QloraSpec settings;

  // Unset: the model's own weights.
  std::optional<QloraSpec> Chosen() const {
    return base == "nf4" ? std::optional(settings) : std::nullopt;
  }
};

// Adds --base, --block-size and --double-quant.
void AddQuantizationFlags(CLI::App& app, QuantizationFlags& flags);

}  // namespace dropbp::trainer
