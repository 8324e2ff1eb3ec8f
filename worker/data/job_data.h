// The data of a job: what it trains on, and what is held out of that for evaluation.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/job/job_spec.h"
#include "worker/data/dataset.h"

namespace dropbp::data {

// Paths of a job's files.
struct JobFiles {
  std::string dataset = {};
  std::string validation = {};                  // empty: there is none
  std::map<std::string, std::string> mix = {};  // of dataset.mix, by SHA-256
};

struct JobData {
  TokenizedDataset training;     // its report tells of the held-out samples too
  std::vector<Sample> held_out;  // of the file or share, the first evaluation.max_samples
};

// Loads the data set with its mix, and the held-out samples from the validation file or from the
// data set itself (dataset.validation_share); rows are of what is left. Errors as LoadDataset;
// INVALID_ARGUMENT also for a share that holds out nothing or everything.
absl::StatusOr<JobData> LoadJobData(const JobFiles& files, const JobSpec& spec,
                                    const std::string& model_dir);

// Moves HeldOutSamples(share, samples.size()) samples out of `samples` and returns them, each in
// their order: those with the smallest hashes of seed and tokens. Samples with the same tokens have
// the same hash, so that they are on one side; where such share the last place, more move.
std::vector<Sample> HoldOut(double share, uint64_t seed, std::vector<Sample>& samples);

}  // namespace dropbp::data
