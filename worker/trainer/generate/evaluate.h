// Answers every record of a data file greedily, and measures the loss on the expected answers.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/trainer/generate/loaded_model.h"

namespace dropbp::trainer {

struct EvaluateOptions {
  std::string model_dir;
  std::string data_path;
  std::map<std::string, std::string> fields;  // as dataset.fields of a job
  int64_t samples = 0;                        // records from the beginning; 0: all
  int64_t batch = 8;                          // records answered at once
  int64_t max_tokens = 128;
};

struct EvaluatedRecord {
  std::string prompt;
  std::string expected;
  std::string answer;
  bool match = false;
};

struct Evaluation {
  std::vector<EvaluatedRecord> records;
  int64_t matches = 0;
  double mean_loss = 0;  // per supervised token of the last answers
  int64_t supervised_tokens = 0;

  double ExactMatch() const;  // share of records
};

// dataset.fields from "KEY=NAME" each; INVALID_ARGUMENT where a job file would be refused.
absl::StatusOr<std::map<std::string, std::string>> FieldNames(
    const std::vector<std::string>& pairs);

// `progress` is called with (records answered, records in all). Throws what torch throws.
absl::StatusOr<Evaluation> Evaluate(const LoadedModel& loaded, const EvaluateOptions& options,
                                    const std::function<void(int64_t, int64_t)>& progress);

}  // namespace dropbp::trainer
