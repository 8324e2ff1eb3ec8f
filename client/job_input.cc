#include "client/job_input.h"

#include <algorithm>
#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/errors.h"
#include "core/base/files.h"
#include "core/base/text.h"
#include "core/job/mix_files.h"
#include "proto/support/grpc_status.h"
#include "proto/support/job_spec_proto.h"

namespace dropbp::client {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxJobFileBytes = 1 << 20;

// NOT_FOUND or INVALID_ARGUMENT unless `path` is a regular file.
absl::Status CheckIsFile(const std::string& path, absl::string_view role) {
  std::error_code error;
  const fs::file_status found = fs::status(path, error);
  if (found.type() == fs::file_type::not_found) {
    return absl::NotFoundError(
        absl::StrCat(role, ": found no file at ", fs::absolute(path).string()));
  }
  if (found.type() != fs::file_type::regular) {
    return absl::InvalidArgumentError(absl::StrCat(role, ": ", path, " is not a regular file"));
  }
  return absl::OkStatus();
}

absl::Status ApplyArguments(const JobArguments& arguments, JobFile& job) {
  std::vector<std::string> problems;
  for (const std::string& assignment : arguments.sets) {
    const absl::Status status = SetJobField(assignment, job);
    if (!status.ok()) problems.push_back(absl::StrCat("--set: ", status.message()));
  }
  if (!problems.empty()) return absl::InvalidArgumentError(absl::StrJoin(problems, "\n"));
  if (!arguments.name.empty()) job.name = arguments.name;
  if (!job.name.empty() && !IsLegalJobId(job.name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("name: found \"", job.name,
                     "\", legal is 1 to 63 of a-z, 0-9 and -, a letter first and no - at the end"));
  }
  return absl::OkStatus();
}

// The path of a data file: as given on the command line, else as the job file names it.
std::string PathOf(const JobArguments& arguments, const std::string& given,
                   const std::string& named) {
  if (!given.empty() || named.empty()) return given;
  return (fs::path(arguments.file).parent_path() / named).string();
}

// A file that was looked at before; its size is -1 if it is gone since.
v1::Artifact ArtifactOf(const std::string& path, const std::string& sha256) {
  std::error_code error;
  v1::Artifact file;
  file.set_name(fs::path(path).filename().string());
  file.set_size_bytes(static_cast<int64_t>(fs::file_size(path, error)));
  file.set_sha256(sha256);
  return file;
}

absl::StatusOr<v1::Artifact> Describe(const std::string& path, absl::string_view field) {
  RETURN_IF_ERROR(CheckIsFile(path, field));
  std::error_code error;
  if (fs::file_size(path, error) == 0 && !error) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": ", path, " is empty, legal are records"));
  }
  ASSIGN_OR_RETURN(const std::string sha256, Sha256HexOfFile(path));
  return ArtifactOf(path, sha256);
}

bool IsCsv(const std::string& path) { return absl::EndsWith(path, ".csv"); }

// The field of the job file that names a data file, or the option that takes its place.
std::string PlaceOfFile(const JobArguments& arguments, const JobInput& input,
                        const std::string& given, absl::string_view option,
                        std::string_view field) {
  return given.empty() ? PlaceOf(input.job, arguments.file, field) : std::string(option);
}

std::string Printable(std::string_view name) {
  std::string text = ToValidUtf8(name);
  std::replace_if(text.begin(), text.end(), absl::ascii_iscntrl, '?');
  return text;
}

// A file's name as the command line or else the job file has it.
const std::string& Typed(const std::string& given, const std::string& named) {
  return given.empty() ? named : given;
}

absl::Status LoadDataset(const JobArguments& arguments, JobInput& input) {
  const std::string& path = input.dataset_path;
  const std::string place =
      PlaceOfFile(arguments, input, arguments.dataset, "--dataset", "dataset.file");
  ASSIGN_OR_RETURN(input.dataset, Describe(path, place));
  input.job.spec.dataset.artifact = input.dataset.sha256();
  input.file_names[input.dataset.sha256()] = Typed(arguments.dataset, input.job.dataset_file);
  // Workers know files by their content only.
  std::string& file_type = input.job.spec.dataset.file_type;
  if (file_type == "detect" && IsCsv(path)) file_type = "csv";
  return absl::OkStatus();
}

// Puts files of the mix by their content.
absl::Status LoadMix(const JobArguments& arguments, JobInput& input) {
  ASSIGN_OR_RETURN(const auto files, ResolveMixFiles(arguments.file, input.job));
  for (const auto& [sha256, file] : files) {
    input.mix.emplace_back(file.path, ArtifactOf(file.path, sha256));
    input.file_names[sha256] = file.name;
  }
  return absl::OkStatus();
}

absl::Status LoadValidation(const JobArguments& arguments, JobInput& input) {
  const std::string& path = input.validation_path;
  if (path.empty()) return absl::OkStatus();
  const std::string place = PlaceOfFile(arguments, input, arguments.validation,
                                        "--validation-dataset", "dataset.validation_file");
  ASSIGN_OR_RETURN(input.validation, Describe(path, place));
  input.job.spec.dataset.validation_artifact = input.validation.sha256();
  input.file_names[input.validation.sha256()] =
      Typed(arguments.validation, input.job.validation_file);
  // They are read by the same settings.
  const bool told = input.job.spec.dataset.file_type != "detect";
  if (told || input.dataset_path.empty() || IsCsv(path) == IsCsv(input.dataset_path))
    return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(place, ": found ", path, " beside ", input.dataset_path,
                   ", legal is a file of the same type, or dataset.file_type"));
}

absl::Status CheckRules(const std::string& source, const JobInput& input, bool dataset_needed) {
  std::vector<FieldViolation> violations = ValidateJobSpec(input.job.spec);
  if (!dataset_needed) {
    std::erase_if(violations,
                  [](const FieldViolation& one) { return one.field == "dataset.artifact"; });
  }
  for (FieldViolation& violation : violations)
    violation.field =
        PlaceOf(input.job, source, absl::StrReplaceAll(violation.field, input.file_names));
  return violations.empty() ? absl::OkStatus() : InvalidFields(violations);
}

// A path that cannot be looked at counts as missing.
bool Exists(const std::string& path) {
  std::error_code error;
  return fs::exists(path, error);
}

absl::StatusOr<JobInput> Load(const JobArguments& arguments) {
  RETURN_IF_ERROR(CheckIsFile(arguments.file, "job file"));
  ASSIGN_OR_RETURN(std::string yaml, ReadFile(arguments.file, kMaxJobFileBytes));
  JobInput input;
  ASSIGN_OR_RETURN(input.job, ParseJobFile(yaml, arguments.file));
  RETURN_IF_ERROR(ApplyArguments(arguments, input.job));
  input.dataset_path = PathOf(arguments, arguments.dataset, input.job.dataset_file);
  input.validation_path = PathOf(arguments, arguments.validation, input.job.validation_file);
  RETURN_IF_ERROR(LoadMix(arguments, input));
  const bool named = !arguments.dataset.empty();
  if (!arguments.dataset_needed && !named && !Exists(input.dataset_path)) {
    input.dataset_path.clear();
  }
  RETURN_IF_ERROR(LoadValidation(arguments, input));
  if (!input.dataset_path.empty()) {
    RETURN_IF_ERROR(LoadDataset(arguments, input));
  } else if (arguments.dataset_needed && input.job.spec.dataset.artifact.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(arguments.file,
                     ": dataset.file: found nothing, legal is the path of a data file, relative "
                     "to the job file; "
                     "or give one with --dataset FILE"));
  }
  const bool has_dataset = !input.job.spec.dataset.artifact.empty();
  RETURN_IF_ERROR(CheckRules(arguments.file, input, arguments.dataset_needed || has_dataset));
  return input;
}

}  // namespace

absl::StatusOr<JobInput> LoadJob(const JobArguments& arguments) {
  absl::StatusOr<JobInput> input = Load(arguments);
  if (!input.ok() && absl::IsInvalidArgument(input.status())) {
    return WithNextStep(input.status(), absl::StrCat("dropbp validate -f ", arguments.file,
                                                     " (after a correction)"));
  }
  if (!input.ok()) return WithNextStep(input.status(), "dropbp submit --help");
  return input;
}

v1::CreateJobRequest MakeCreateRequest(const JobInput& input) {
  v1::CreateJobRequest request;
  request.set_job_id(input.job.name);
  *request.mutable_spec() = JobSpecToProto(input.job.spec);
  for (const auto& [sha256, name] : input.file_names)
    (*request.mutable_file_names())[sha256] = Printable(name);
  return request;
}

}  // namespace dropbp::client
