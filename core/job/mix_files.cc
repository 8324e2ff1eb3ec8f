#include "core/job/mix_files.h"

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/files.h"

namespace dropbp {
namespace {

namespace fs = std::filesystem;

absl::Status CheckIsFile(const std::string& place, const std::string& path) {
  std::error_code error;
  const fs::file_status found = fs::status(path, error);
  if (found.type() == fs::file_type::not_found) {
    return absl::NotFoundError(
        absl::StrCat(place, ": found no file at ", fs::absolute(path).string()));
  }
  if (found.type() != fs::file_type::regular)
    return absl::InvalidArgumentError(absl::StrCat(place, ": ", path, " is not a regular file"));
  if (fs::file_size(path, error) == 0 && !error) {
    return absl::InvalidArgumentError(
        absl::StrCat(place, ": ", path, " is empty, legal are records"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::map<std::string, MixFile>> ResolveMixFiles(const std::string& source,
                                                               JobFile& job) {
  std::map<std::string, MixFile> files;
  std::map<std::string, double> resolved;
  for (const auto& [name, weight] : job.spec.dataset.mix) {
    const std::string place = PlaceOf(job, source, absl::StrCat("dataset.mix.", name));
    std::string sha256 = name;
    if (!IsSha256(name)) {
      const std::string path = (fs::path(source).parent_path() / name).string();
      RETURN_IF_ERROR(CheckIsFile(place, path));
      ASSIGN_OR_RETURN(sha256, Sha256HexOfFile(path));
      files[sha256] = {.name = name, .path = path};
    }
    if (!resolved.emplace(sha256, weight).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(place,
                       ": found the content of another file of the mix; legal is each file once, "
                       "with a larger weight"));
    }
  }
  job.spec.dataset.mix = std::move(resolved);
  return files;
}

}  // namespace dropbp
