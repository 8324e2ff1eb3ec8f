// Which checkpoints a job can go on from.
#pragma once

#include <string>

#include "core/job/job_spec.h"

namespace dropbp {

// SHA-256 over all fields of a job that determine what is trained: two jobs with the same identity
// make the same steps. Left out are those that do not (max_restarts, priority, labels,
// checkpoint.*) and where it runs (resources.*): a checkpoint can be taken up by another number of
// ranks. Fields that have their default are left out too, so that a program with more fields still
// knows the checkpoints of one with fewer.
std::string JobIdentity(const JobSpec& spec);

}  // namespace dropbp
