// A job's memory against that of the workers' slots: core/plan/memory_verdict.h on what the
// coordinator knows. All slots of known workers that have the model count; those that are away for
// less than a lease, or drained, may still take the job. Slots that do not tell their memory do not
// count. Texts are for people, and empty if there is nothing to say.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "core/base/status.h"
#include "core/job/job_spec.h"
#include "dropbp/v1/jobs.pb.h"
#include "dropbp/v1/worker_gateway.pb.h"
#include "server/run/worker_registry.h"

namespace dropbp::server {

// What to do with a job whose data is checked. At most one is not empty.
struct MemoryCheck {
  std::string refusal;  // it is not to be started
  std::string warning;
};

using Workers = std::map<std::string, KnownWorker>;

// INVALID_ARGUMENT if model and job do not fit together.
absl::StatusOr<MemoryCheck> CheckMemory(const JobSpec& spec, const v1::ModelShape& shape,
                                        const v1::DatasetReport& data, int64_t total_steps,
                                        const Workers& workers);

// Before the data is read: whether a job would be short of memory if it had a sample of
// dataset.max_length tokens. Never a refusal, since it may have none. Empty if no connected worker
// has the model.
std::string DryMemoryWarning(const JobSpec& spec, const Workers& workers);

}  // namespace dropbp::server
