#include "worker/agent/artifact_client.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "core/base/files.h"
#include "proto/support/grpc_status.h"

namespace dropbp::agent {
namespace {

constexpr size_t kChunkBytes = 1 << 20;
// A broken stream may come as UNKNOWN or INTERNAL; a bug of the coordinator does as well, so these
// tries are counted.
constexpr int kMaxUnclearFailures = 5;

bool IsUnclear(const absl::Status& status) {
  return absl::IsUnknown(status) || absl::IsInternal(status);
}

bool IsTransient(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsAborted(status) || absl::IsResourceExhausted(status) ||
         absl::IsCancelled(status) || IsUnclear(status);
}

// Runs `attempt` until it succeeds, is refused, or `cancel` is.
template <typename Attempt>
absl::Status Persist(const std::string& what, const CancelToken& cancel, Attempt attempt) {
  BackOff back_off;
  int unclear = 0;
  while (true) {
    const absl::Status status = attempt();
    if (status.ok()) return status;
    if (cancel.cancelled()) return absl::CancelledError(what + ": stopped");
    unclear += IsUnclear(status);
    if (!IsTransient(status) || unclear > kMaxUnclearFailures) return Annotate(status, what);
    spdlog::info("{}: {}; trying again", what, status.ToString());
    if (cancel.WaitFor(back_off.Next())) return absl::CancelledError(what + ": stopped");
  }
}

// Sends header and chunks; a write that fails shows in the call's final status.
absl::Status UploadOnce(v1::ArtifactService::Stub& stub, const std::string& path,
                        const v1::Artifact& header, const CancelToken& cancel) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat(path, ": cannot be opened"));
  grpc::ClientContext context;
  const CancelCallback on_cancel(cancel, [&context] { context.TryCancel(); });
  v1::Artifact stored;
  const auto writer = stub.UploadFile(&context, &stored);
  v1::UploadFileRequest request;
  *request.mutable_header() = header;
  bool writable = writer->Write(request);
  std::string chunk(kChunkBytes, '\0');
  while (writable && file) {
    file.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    if (file.gcount() == 0) break;
    request.set_chunk(chunk.data(), file.gcount());
    writable = writer->Write(request);
  }
  writer->WritesDone();
  return FromGrpcStatus(writer->Finish());
}

absl::Status DownloadOnce(v1::ArtifactService::Stub& stub, const std::string& sha256,
                          std::FILE* file, const CancelToken& cancel) {
  grpc::ClientContext context;
  const CancelCallback on_cancel(cancel, [&context] { context.TryCancel(); });
  v1::DownloadFileRequest request;
  request.set_sha256(sha256);
  const auto reader = stub.DownloadFile(&context, request);
  Sha256 hash;
  v1::DownloadFileResponse response;
  while (reader->Read(&response)) {
    hash.Update(response.chunk());
    if (fwrite(response.chunk().data(), 1, response.chunk().size(), file) !=
        response.chunk().size()) {
      const int error = errno;
      context.TryCancel();
      reader->Finish().IgnoreError();
      return absl::FailedPreconditionError(absl::StrCat("writing failed: ", strerror(error)));
    }
  }
  RETURN_IF_ERROR(FromGrpcStatus(reader->Finish()));
  const std::string found = hash.Finish();
  if (found == sha256) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("the coordinator sent content with SHA-256 ", found, ", expected ", sha256));
}

// To disk, whole: written, flushed and synced.
absl::Status DownloadToFile(v1::ArtifactService::Stub& stub, const std::string& sha256,
                            const std::string& path, const CancelToken& cancel) {
  std::FILE* file = fopen(path.c_str(), "wbe");
  if (file == nullptr) return absl::FailedPreconditionError(absl::StrCat(path, ": cannot be made"));
  absl::Status status = DownloadOnce(stub, sha256, file, cancel);
  const bool synced = fflush(file) == 0 && fsync(fileno(file)) == 0;
  fclose(file);
  if (status.ok() && !synced) status = absl::FailedPreconditionError(path + ": writing failed");
  if (!status.ok()) unlink(path.c_str());
  return status;
}

}  // namespace

absl::StatusOr<v1::Artifact> ArtifactClient::Upload(const std::string& path,
                                                    const std::string& name,
                                                    const CancelToken& cancel) const {
  std::error_code error;
  v1::Artifact artifact;
  artifact.set_name(name);
  artifact.set_size_bytes(static_cast<int64_t>(std::filesystem::file_size(path, error)));
  if (error) return absl::NotFoundError(absl::StrCat(path, ": ", error.message()));
  ASSIGN_OR_RETURN(*artifact.mutable_sha256(), Sha256HexOfFile(path));
  const absl::Status status = Persist("upload of " + name, cancel, [&] {
    const auto stub = v1::ArtifactService::NewStub(MakeChannel(coordinator_));
    return UploadOnce(*stub, path, artifact, cancel);
  });
  if (!status.ok()) return status;
  return artifact;
}

absl::Status ArtifactClient::Download(const std::string& sha256, const std::string& path,
                                      const CancelToken& cancel) const {
  return Persist("download of artifact " + sha256, cancel, [&] {
    const auto stub = v1::ArtifactService::NewStub(MakeChannel(coordinator_));
    return DownloadToFile(*stub, sha256, path, cancel);
  });
}

}  // namespace dropbp::agent
