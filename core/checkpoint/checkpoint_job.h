// The job of a checkpoint that somebody has downloaded: a job file beside its parts, without which
// nobody but the coordinator knows what they are.
#pragma once

#include <string>

#include "core/base/status.h"
#include "core/job/job_spec.h"

namespace dropbp {

inline constexpr char kCheckpointJobFile[] = "job.yaml";

// Reads `<folder>/job.yaml`. Errors name the file: NOT_FOUND if there is none, INVALID_ARGUMENT if
// it is no job file, FAILED_PRECONDITION if it is not the job that the manifest beside it names.
absl::StatusOr<JobSpec> ReadCheckpointJob(const std::string& folder);

}  // namespace dropbp
