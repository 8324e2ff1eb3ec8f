// dataset.mix as people write it, with names of files, and as jobs have it, with their SHA-256.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "core/base/status.h"
#include "core/job/job_spec.h"

namespace dropbp {

// Puts the SHA-256 of each file in place of its name in spec.mix. A key that is a SHA-256 is a file
// that was uploaded before and stays. Names are relative to `folder`. Returns the files' paths by
// their SHA-256. NOT_FOUND or INVALID_ARGUMENT names the file that is missing, empty or there
// twice.
absl::StatusOr<std::map<std::string, std::string>> ResolveMixFiles(const std::string& folder,
                                                                   DatasetSpec& spec);

// Whether `text` is a SHA-256 as 64 lower-case hexadecimal digits.
bool IsSha256(std::string_view text);

}  // namespace dropbp
