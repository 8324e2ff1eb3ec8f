// The sensitivity probe on a real model: its definition against the fast measure.
#pragma once

#include <string>

#include "bench/method_report/allocation.h"
#include "bench/method_report/report.h"
#include "core/base/status.h"

namespace dropbp::bench {

struct ProbeOptions {
  std::string model_dir = {};   // Hugging Face folder
  std::string data = {};        // JSONL file; the probe batch is its first samples
  std::string method = "lora";  // lora | full
  std::string dtype = "fp32";   // fp32 | bf16
  int threads = 1;              // of one rank
  int64_t samples = 4;
  int64_t max_length = 128;  // tokens of a sample
  int rounds = 3;
};

struct MeasuredSensitivities {
  std::string name;   // of the model
  Instance instance;  // its units' costs and sensitivities
  Section section;
};

// Runs MeasureByDefinition and MeasureBySuffixes on one rank, and the probe of a job on two ranks
// at once (a thread each, over Gloo), all of them once a round. Seconds are medians over the
// rounds.
absl::StatusOr<MeasuredSensitivities> MeasureSensitivities(const ProbeOptions& options);

}  // namespace dropbp::bench
