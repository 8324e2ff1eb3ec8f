// Small jobs, models and data sets.
#pragma once

#include <string>

#include "core/base/status.h"
#include "core/job/job_spec.h"

namespace dropbp::testing {

// The value of an environment variable that CTest sets; ends the test program if it is not set.
std::string RequiredEnvironment(const char* name);

// Path of the program dropbp-trainer: $DROPBP_TRAINER, or the one of this build; empty if there is
// none.
std::string TrainerProgram();

// Path of a Llama-architecture model folder with random weights (4 layers, hidden size 64, own
// tokenizer and chat template), made once under $DROPBP_MODELS by make_tiny_model.py.
absl::StatusOr<std::string> TinyModel();

// A job on TinyModel() that trains in seconds: LoRA, fp32, 2 ranks, drop rate 0.5 by sensitivity
// (quadratic, not the default), so that it has a probe and two plans.
JobSpec TinyJob();

// `samples` different prompt and completion records, one a line.
std::string TinyDataset(int samples);

}  // namespace dropbp::testing
