// Jobs as text.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/console.h"
#include "dropbp/v1/jobs.pb.h"

namespace dropbp::client {

// All there is to say about one job; `last_lines` are what the trainer wrote last whose end failed
// it.
void PrintJob(const v1::Job& job, const std::vector<std::string>& last_lines, const Sink& sink);

// What was asked for, as a job file that can be submitted again: its data is named by SHA-256, and
// comments tell the names of the files.
std::string JobFileOf(const v1::Job& job);

// One line a job. `now` gives the ages.
void PrintJobs(const std::vector<v1::Job>& jobs, absl::Time now, const Sink& sink);

}  // namespace dropbp::client
