#include "worker/agent/checkpoint_cache.h"

#include <spdlog/spdlog.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/files.h"
#include "core/checkpoint/manifest.h"
#include "worker/agent/work_folder.h"

namespace dropbp::agent {
namespace {

namespace fs = std::filesystem;

constexpr size_t kStepsKept = 3;
constexpr std::chrono::hours kForgetAfter{7 * 24};

// Whether a name leads nowhere but into the folder it is looked up in.
bool IsFileName(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos;
}

}  // namespace

std::string CheckpointCache::StepFolder(const std::string& job_id, int64_t step) const {
  return absl::StrCat(folder_, "/", job_id, "/step-", step);
}

void CheckpointCache::Keep(const std::string& job_id, int64_t step, const std::string& path,
                           const std::string& name) const {
  ForgetOldJobs();
  const std::string folder = StepFolder(job_id, step);
  absl::Status status = MakeFolder(folder);
  if (status.ok() && std::rename(path.c_str(), absl::StrCat(folder, "/", name).c_str()) != 0) {
    status = absl::ErrnoToStatus(errno, folder);
  }
  if (!status.ok()) spdlog::warn("a part of a checkpoint is not kept here: {}", status.ToString());
  // Another rank of this node may be ahead.
  Prune(job_id, std::numeric_limits<int64_t>::max());
}

absl::StatusOr<std::string> CheckpointCache::Fetch(const std::string& job_id,
                                                   const v1::Checkpoint& checkpoint,
                                                   const CancelToken& cancel) const {
  const std::string folder = StepFolder(job_id, checkpoint.step());
  RETURN_IF_ERROR(MakeFolder(folder));
  Prune(job_id, checkpoint.step());
  // The manifest comes last here as well.
  for (int rank = 0; rank < checkpoint.parts_size(); ++rank) {
    const std::string name = PartFileName(rank, checkpoint.parts_size());
    RETURN_IF_ERROR(Provide(absl::StrCat(folder, "/", name), checkpoint.parts(rank), cancel));
  }
  RETURN_IF_ERROR(Provide(absl::StrCat(folder, "/", kManifestFile), checkpoint.manifest(), cancel));
  return folder;
}

absl::StatusOr<std::string> CheckpointCache::FetchInit(
    const std::string& job_id, const google::protobuf::RepeatedPtrField<v1::Artifact>& files,
    const CancelToken& cancel) const {
  const std::string folder = absl::StrCat(folder_, "/", job_id, "/init");
  RETURN_IF_ERROR(MakeFolder(folder));
  for (const v1::Artifact& file : files) {
    if (!IsFileName(file.name())) {
      return absl::InvalidArgumentError(
          absl::StrCat("init_files: found '", file.name(), "', legal is the name of a file"));
    }
    RETURN_IF_ERROR(Provide(absl::StrCat(folder, "/", file.name()), file, cancel));
  }
  return folder;
}

absl::Status CheckpointCache::Provide(const std::string& path, const v1::Artifact& file,
                                      const CancelToken& cancel) const {
  std::error_code error;
  if (fs::exists(path, error)) {
    const absl::StatusOr<std::string> found = Sha256HexOfFile(path);
    if (found.ok() && *found == file.sha256()) return absl::OkStatus();
    fs::remove(path, error);
  }
  const std::string part = path + ".part";
  RETURN_IF_ERROR(artifacts_.Download(file.sha256(), part, cancel));
  if (std::rename(part.c_str(), path.c_str()) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, path);
}

void CheckpointCache::Forget(const std::string& job_id) const {
  std::error_code error;
  fs::remove_all(absl::StrCat(folder_, "/", job_id), error);
}

void CheckpointCache::Prune(const std::string& job_id, int64_t newest) const {
  std::error_code error;
  std::map<int64_t, fs::path, std::greater<>> steps;
  for (const auto& entry : fs::directory_iterator(absl::StrCat(folder_, "/", job_id), error)) {
    const std::string name = entry.path().filename();
    int64_t step = 0;
    if (absl::SimpleAtoi(absl::StripPrefix(name, "step-"), &step)) steps[step] = entry.path();
  }
  size_t kept = 0;
  for (const auto& [step, path] : steps) {
    if (step <= newest && ++kept <= kStepsKept) continue;
    fs::remove_all(path, error);
  }
}

void CheckpointCache::ForgetOldJobs() const {
  std::error_code error;
  const auto oldest = fs::file_time_type::clock::now() - kForgetAfter;
  for (const auto& job : fs::directory_iterator(folder_, error)) {
    if (fs::last_write_time(job.path(), error) < oldest && !error)
      fs::remove_all(job.path(), error);
  }
}

}  // namespace dropbp::agent
