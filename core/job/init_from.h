// Beginning from what an earlier job trained: what init_from names, and which jobs fit together.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/job/job_fields.h"
#include "core/job/job_spec.h"

namespace dropbp {

inline constexpr char kBestCheckpoint[] = "best";      // the one with the least validation loss
inline constexpr char kLatestCheckpoint[] = "latest";  // the newest that is complete

// The result of a job, or one of its checkpoints.
struct InitFrom {
  std::string job_id;
  std::string checkpoint;  // steps done, "best" or "latest"; empty: the result
};

// Reads "JOB", "JOB@STEP", "JOB@best" or "JOB@latest"; nothing if `text` is none of them.
std::optional<InitFrom> ParseInitFrom(std::string_view text);

// Why a job with `spec` cannot begin from what spec.init_from names, of a job whose specification
// is `earlier`; empty if it can. Model, method and what the method trains must be the same: a LoRA
// adapter is one whether its base weights had 4 bits (qlora) or more (lora). How it is trained may
// differ: dropout, learning rates, data. spec.init_from must be legal.
std::vector<FieldViolation> CheckInitFrom(const JobSpec& spec, const JobSpec& earlier);

}  // namespace dropbp
