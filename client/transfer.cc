// Files to and from the coordinator, in chunks, checked by SHA-256.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/job_client.h"
#include "core/base/files.h"

namespace dropbp::client {
namespace {

constexpr size_t kChunkBytes = 1 << 20;

struct CloseFile {
  void operator()(FILE* file) const { fclose(file); }
};
using File = std::unique_ptr<FILE, CloseFile>;

absl::Status FileError(const std::string& path, const char* what) {
  return absl::InternalError(absl::StrCat(path, ": ", what, ": ", strerror(errno)));
}

absl::StatusOr<File> OpenFile(const std::string& path, const char* mode) {
  File file(fopen(path.c_str(), mode));
  if (file == nullptr) return FileError(path, "cannot be opened");
  return file;
}

absl::Status FlushToDisk(FILE* file, const std::string& path) {
  if (fflush(file) != 0 || fsync(fileno(file)) != 0) return FileError(path, "cannot be written");
  return absl::OkStatus();
}

}  // namespace

absl::Status JobClient::UploadOnce(const std::string& path, const v1::Artifact& header,
                                   const OnBytes& on_bytes, v1::Artifact& stored) {
  ASSIGN_OR_RETURN(File file, OpenFile(path, "rb"));
  grpc::ClientContext context;
  StopToken::Callback cancel(stop_, [&context] { context.TryCancel(); });
  auto writer = artifacts_->UploadFile(&context, &stored);
  v1::UploadFileRequest request;
  *request.mutable_header() = header;
  bool open =
      writer->Write(request);  // false: the coordinator has answered already, Finish() tells what
  int64_t sent = 0;
  while (open) {
    std::string& chunk = *request.mutable_chunk();
    chunk.resize(kChunkBytes);
    chunk.resize(fread(chunk.data(), 1, kChunkBytes, file.get()));
    if (chunk.empty()) break;
    open = writer->Write(request);
    sent += static_cast<int64_t>(chunk.size());
    on_bytes(sent, header.size_bytes());
  }
  const bool read_error = ferror(file.get()) != 0;
  if (read_error) context.TryCancel();
  if (open) writer->WritesDone();
  absl::Status status = ToStatus(writer->Finish());
  return read_error ? FileError(path, "cannot be read") : status;
}

absl::StatusOr<v1::Artifact> JobClient::Upload(const std::string& path, const v1::Artifact& header,
                                               const OnBytes& on_bytes) {
  v1::Artifact stored;
  absl::Status status = Retry(settings_.retry, absl::InfiniteFuture(),
                              [&] { return UploadOnce(path, header, on_bytes, stored); });
  if (!status.ok()) return Annotate(status, absl::StrCat("upload of ", path));
  return stored;
}

absl::Status JobClient::DownloadOnce(const v1::Artifact& artifact, const std::string& part_path,
                                     const OnBytes& on_bytes) {
  ASSIGN_OR_RETURN(File file, OpenFile(part_path, "wb"));
  grpc::ClientContext context;
  StopToken::Callback cancel(stop_, [&context] { context.TryCancel(); });
  v1::DownloadFileRequest request;
  request.set_sha256(artifact.sha256());
  auto reader = artifacts_->DownloadFile(&context, request);
  Sha256 hash;
  v1::DownloadFileResponse response;
  int64_t received = 0;
  while (reader->Read(&response)) {
    const std::string& chunk = response.chunk();
    if (fwrite(chunk.data(), 1, chunk.size(), file.get()) != chunk.size()) {
      context.TryCancel();
      return FileError(part_path, "cannot be written");
    }
    hash.Update(chunk);
    received += static_cast<int64_t>(chunk.size());
    on_bytes(received, artifact.size_bytes());
  }
  RETURN_IF_ERROR(ToStatus(reader->Finish()));
  const std::string digest = hash.Finish();
  if (received != artifact.size_bytes() || digest != artifact.sha256()) {
    return absl::DataLossError(absl::StrCat("received ", received, " bytes with SHA-256 ", digest,
                                            ", expected ", artifact.size_bytes(),
                                            " bytes with SHA-256 ", artifact.sha256()));
  }
  return FlushToDisk(file.get(), part_path);
}

absl::Status JobClient::Download(const v1::Artifact& artifact, const std::string& path,
                                 const OnBytes& on_bytes) {
  const std::string part_path = absl::StrCat(path, ".part");
  absl::Status status = Retry(settings_.retry, absl::InfiniteFuture(),
                              [&] { return DownloadOnce(artifact, part_path, on_bytes); });
  if (status.ok() && rename(part_path.c_str(), path.c_str()) != 0)
    status = FileError(path, "cannot be put in place");
  if (!status.ok()) unlink(part_path.c_str());
  return Annotate(status, absl::StrCat("download of ", artifact.name()));
}

}  // namespace dropbp::client
