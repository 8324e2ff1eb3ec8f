// What a coordinator keeps about a job's steps.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/base/status.h"
#include "dropbp/v1/trainer_link.pb.h"

namespace dropbp::testing {

// Rank 0's step reports of the job's last attempt, in order, from the job store in `data_dir`.
absl::StatusOr<std::vector<v1::StepReport>> ReadStepHistory(const std::string& data_dir,
                                                            const std::string& job_id);

// A line that a trainer writes for each step, for example "step 3/20 loss 5.7 ... sent 10 of 20 B
// ...".
struct StepLine {
  int64_t step = 0;  // from 1
  double dropped = 0;
  int64_t bytes_sent = 0;
  int64_t bytes_dense = 0;
  std::string masks;  // hash, hexadecimal
};

// All step lines of one rank's log, in order.
std::vector<StepLine> ParseStepLines(const std::string& log);

// Whether they tell of the steps 1 to `steps` (in reports, which count from 0: 0 to `steps` - 1),
// each once and in order.
::testing::AssertionResult EachStepOnce(const std::vector<StepLine>& lines, int64_t steps);
::testing::AssertionResult EachStepOnce(const std::vector<v1::StepReport>& reports, int64_t steps);

}  // namespace dropbp::testing
