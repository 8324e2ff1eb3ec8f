// Several files in one data set.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "core/base/status.h"
#include "core/job/job_spec.h"
#include "worker/data/dataset.h"

namespace dropbp::data {

// Appends the files of spec.mix to a data set, in the order of their SHA-256, each as often as its
// weight says: with weight 2.25 each sample twice, and a quarter of them, drawn by `seed`, once
// more. `paths`: the files by SHA-256. Each file's type and format are recognised by themselves;
// all else is as for the data set. The report then tells of one pass over everything, and of
// records left out of any file. Errors as LoadDataset, with the paths of the files.
absl::Status AddMix(const std::map<std::string, std::string>& paths, const DatasetSpec& spec,
                    uint64_t seed, const std::string& model_dir, TokenizedDataset& dataset);

}  // namespace dropbp::data
