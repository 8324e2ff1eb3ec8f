// dataset.mix as people write it, with names of files, and as jobs have it, with their SHA-256.
#pragma once

#include <map>
#include <string>

#include "core/base/status.h"
#include "core/job/job_file.h"

namespace dropbp {

struct MixFile {
  std::string name;  // as it is written
  std::string path;
};

// Puts the SHA-256 of each file in place of its name in job.spec.dataset.mix. A key that is a
// SHA-256 is a file that was uploaded before and stays. Names are relative to the folder of
// `source`, the job file. Returns the files by their SHA-256. NOT_FOUND or INVALID_ARGUMENT names
// line and file that is missing, empty or there twice.
absl::StatusOr<std::map<std::string, MixFile>> ResolveMixFiles(const std::string& source,
                                                               JobFile& job);

}  // namespace dropbp
