#include "core/job/mix_files.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/files.h"

namespace dropbp {
namespace {

namespace fs = std::filesystem;

absl::Status CheckIsFile(const std::string& path) {
  std::error_code error;
  const fs::file_status found = fs::status(path, error);
  if (found.type() == fs::file_type::not_found)
    return absl::NotFoundError(absl::StrCat("dataset.mix: found no file at ", path));
  if (found.type() != fs::file_type::regular)
    return absl::InvalidArgumentError(
        absl::StrCat("dataset.mix: ", path, " is not a regular file"));
  if (fs::file_size(path, error) == 0 && !error)
    return absl::InvalidArgumentError(
        absl::StrCat("dataset.mix: ", path, " is empty, legal are records"));
  return absl::OkStatus();
}

}  // namespace

bool IsSha256(std::string_view text) {
  const auto is_hex = [](char c) { return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f'); };
  return text.size() == 64 && std::all_of(text.begin(), text.end(), is_hex);
}

absl::StatusOr<std::map<std::string, std::string>> ResolveMixFiles(const std::string& folder,
                                                                   DatasetSpec& spec) {
  std::map<std::string, std::string> paths;
  std::map<std::string, double> resolved;
  for (const auto& [name, weight] : spec.mix) {
    std::string sha256 = name;
    std::string path;
    if (!IsSha256(name)) {
      path = (fs::path(folder) / name).string();
      RETURN_IF_ERROR(CheckIsFile(path));
      ASSIGN_OR_RETURN(sha256, Sha256HexOfFile(path));
      paths[sha256] = path;
    }
    if (!resolved.emplace(sha256, weight).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("dataset.mix: ", name,
                       " has the same content as another file of the mix; legal is each "
                       "file once, with a larger weight"));
    }
  }
  spec.mix = std::move(resolved);
  return paths;
}

}  // namespace dropbp
