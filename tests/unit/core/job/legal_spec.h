// A specification without violations, for tests to break.
#pragma once

#include <string>

#include "core/job/job_spec.h"

namespace dropbp {

inline JobSpec LegalSpec() {
  JobSpec spec;
  spec.model = "smollm2-135m-instruct";
  spec.dataset.artifact = std::string(64, 'a');
  return spec;
}

}  // namespace dropbp
