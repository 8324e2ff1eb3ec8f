// Beginning from the result of an earlier job: which jobs fit together.
#pragma once

#include <vector>

#include "core/job/job_fields.h"
#include "core/job/job_spec.h"

namespace dropbp {

// Why a job with `spec` cannot begin from the result of spec.init_from, whose specification is
// `earlier`; empty if it can. Model, method and what the method trains must be the same: a LoRA
// adapter is one whether its base weights had 4 bits (qlora) or more (lora). How it is trained may
// differ: dropout, learning rates, data.
std::vector<FieldViolation> CheckInitFrom(const JobSpec& spec, const JobSpec& earlier);

}  // namespace dropbp
