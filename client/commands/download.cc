#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/commands/command.h"
#include "client/commands/commands.h"
#include "client/errors.h"
#include "client/format.h"
#include "client/job_view.h"
#include "client/json.h"
#include "client/transfer_meter.h"
#include "core/base/files.h"
#include "core/checkpoint/checkpoint_job.h"

namespace dropbp::client {
namespace {

namespace fs = std::filesystem;

struct DownloadOptions {
  std::string job_id;
  std::string folder;
  std::string checkpoint;  // its step, or "best"; empty: the results
};

constexpr char kBest[] = "best";

// A name from the network becomes a file here only if it is nothing but a name.
absl::Status CheckName(const std::string& name) {
  if (!name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos)
    return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("artifact name: found \"", name, "\", legal is a plain file name"));
}

bool IsThere(const v1::Artifact& artifact, const fs::path& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return false;
  const absl::StatusOr<std::string> digest = Sha256HexOfFile(path.string());
  return digest.ok() && *digest == artifact.sha256();
}

using Artifacts = google::protobuf::RepeatedPtrField<v1::Artifact>;

absl::Status MakeFolder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (!error) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat(folder.string(), ": cannot be created: ", error.message()));
}

void Print(Session& session, const v1::Artifact& file, const fs::path& path) {
  if (session.json()) {
    PrintJsonLine(file, session.out());
  } else {
    session.out().stream << path.string() << std::endl;
  }
}

absl::Status FetchAll(Session& session, JobClient& client, const Artifacts& artifacts,
                      const fs::path& folder) {
  RETURN_IF_ERROR(MakeFolder(folder));
  for (const v1::Artifact& artifact : artifacts) {
    RETURN_IF_ERROR(CheckName(artifact.name()));
    const fs::path path = folder / artifact.name();
    if (!IsThere(artifact, path)) {
      TransferMeter meter(absl::StrCat("download of ", artifact.name()), session.err());
      RETURN_IF_ERROR(client.Download(
          artifact, path.string(), [&](int64_t done, int64_t total) { meter.Show(done, total); }));
    }
    Print(session, artifact, path);
  }
  return absl::OkStatus();
}

// The job that a checkpoint is of, as a job file beside it.
absl::Status WriteJobFile(Session& session, JobClient& client, const std::string& job_id,
                          const fs::path& folder) {
  ASSIGN_OR_RETURN(const v1::Job job, client.GetJob(job_id));
  const std::string text = JobFileOf(job);
  const fs::path path = folder / kCheckpointJobFile;
  RETURN_IF_ERROR(MakeFolder(folder));
  RETURN_IF_ERROR(WriteFileAtomically(path.string(), text));
  v1::Artifact file;
  file.set_name(kCheckpointJobFile);
  file.set_sha256(Sha256Hex(text));
  file.set_size_bytes(static_cast<int64_t>(text.size()));
  Print(session, file, path);
  return absl::OkStatus();
}

// The parts, then the manifest: a folder that has one is complete.
Artifacts FilesOf(const v1::Checkpoint& checkpoint) {
  Artifacts files = checkpoint.parts();
  *files.Add() = checkpoint.manifest();
  return files;
}

bool IsAskedFor(const v1::Checkpoint& checkpoint, const std::string& asked) {
  return asked == kBest ? checkpoint.best() : asked == absl::StrCat(checkpoint.step());
}

absl::StatusOr<ExitCode> DownloadCheckpoint(Session& session, JobClient& client,
                                            const DownloadOptions& options) {
  ASSIGN_OR_RETURN(const v1::ListCheckpointsResponse found, client.ListCheckpoints(options.job_id));
  std::vector<int64_t> steps;
  for (const v1::Checkpoint& checkpoint : found.checkpoints()) {
    steps.push_back(checkpoint.step());
    if (!IsAskedFor(checkpoint, options.checkpoint)) continue;
    const std::string folder = options.folder.empty()
                                   ? absl::StrCat(options.job_id, "-step-", checkpoint.step())
                                   : options.folder;
    RETURN_IF_ERROR(WriteJobFile(session, client, options.job_id, folder));
    RETURN_IF_ERROR(FetchAll(session, client, FilesOf(checkpoint), folder));
    return ExitCode::kOk;
  }
  return WithNextStep(absl::NotFoundError(absl::StrCat(
                          "--checkpoint: found ", options.checkpoint, ", job ", options.job_id,
                          " has ", steps.empty() ? "none" : absl::StrJoin(steps, ", "))),
                      absl::StrCat("dropbp checkpoints ", options.job_id));
}

absl::StatusOr<ExitCode> Download(Session& session, const DownloadOptions& options) {
  ASSIGN_OR_RETURN(auto client, session.Connect());
  if (!options.checkpoint.empty()) return DownloadCheckpoint(session, *client, options);
  ASSIGN_OR_RETURN(const v1::Job job, client->GetJob(options.job_id));
  if (job.artifacts().empty()) {
    const char* command = !IsFinal(job.state()) ? "wait" : job.attempt() > 0 ? "logs" : "get";
    const std::string next = absl::StrCat("dropbp ", command, " ", job.job_id());
    return WithNextStep(
        absl::FailedPreconditionError(absl::StrCat(
            "job ", job.job_id(), " is ", StateName(job.state()), " and has no result files")),
        next);
  }
  RETURN_IF_ERROR(FetchAll(session, *client, job.artifacts(),
                           options.folder.empty() ? job.job_id() : options.folder));
  return ExitCode::kOk;
}

}  // namespace

void AddDownload(CLI::App& app, Session& session) {
  std::shared_ptr<DownloadOptions> options;
  CLI::App* command = AddCommand<DownloadOptions>(
      app, session, "download",
      "Fetch a job's result files, checked by SHA-256; prints their paths",
      "  dropbp download quiet-maple-3f2a\n"
      "  dropbp download quiet-maple-3f2a --to adapters/support\n"
      "  dropbp download quiet-maple-3f2a --checkpoint 4000\n",
      Download, options);
  AddJobArgument(command, options->job_id);
  command->add_option("--to", options->folder,
                      "Folder to write to; default: a folder named like the job");
  command
      ->add_option("--checkpoint", options->checkpoint,
                   "Fetch the checkpoint after this many steps, or the best one, instead of the "
                   "results")
      ->check(CLI::Range(int64_t{1}, int64_t{10'000'000}) | CLI::IsMember({kBest}));
}

}  // namespace dropbp::client
