// The options that generate and evaluate have in common.
#pragma once

#include <CLI/App.hpp>

#include "worker/trainer/generate/loaded_model.h"

namespace dropbp::trainer {

// Adds --model, --adapter, --base and what belongs to it, --dtype, --device and --threads.
void AddModelFlags(CLI::App& app, ModelFlags& flags);

}  // namespace dropbp::trainer
