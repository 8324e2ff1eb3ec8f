#include "server/api/artifact_service.h"

#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "proto/support/grpc_status.h"

namespace dropbp::server {
namespace {

constexpr size_t kChunkBytes = 1 << 20;

absl::Status WrongMessage(std::string_view field, std::string_view what) {
  const FieldViolation violation{std::string(field), std::string(what)};
  return WithReason(InvalidFields({&violation, 1}), "INVALID_UPLOAD");
}

// Reads header and chunks; gRPC calls one reaction at a time.
class UploadReactor : public grpc::ServerReadReactor<v1::UploadFileRequest> {
 public:
  UploadReactor(ArtifactStore& store, v1::Artifact* answer) : store_(store), answer_(answer) {
    StartRead(&message_);
  }

  void OnReadDone(bool ok) override {
    if (ended_) return;
    if (!ok) return End(Complete());
    const absl::Status status = Take();
    if (!status.ok()) return End(status);
    StartRead(&message_);
  }
  void OnDone() override { delete this; }

 private:
  absl::Status Take() {
    if (!header_) {
      if (!message_.has_header()) return WrongMessage("header", "the first message must be one");
      header_ = message_.header();
      return Begin();
    }
    if (!message_.has_chunk()) return WrongMessage("chunk", "only the first message is a header");
    if (message_.chunk().size() > kChunkBytes) {
      return WrongMessage("chunk", absl::StrCat("found ", message_.chunk().size(),
                                                " bytes, legal are at most ", kChunkBytes));
    }
    return upload_ ? upload_->Write(message_.chunk()) : absl::OkStatus();
  }

  absl::Status Begin() {
    // Content that is there already is read from the client, but not written again.
    if (const auto size = store_.SizeOf(header_->sha256());
        size.ok() && *size == header_->size_bytes()) {
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(upload_, store_.NewUpload(header_->sha256(), header_->size_bytes()));
    return absl::OkStatus();
  }

  absl::Status Complete() {
    if (!header_) return WrongMessage("header", "the stream ended before it");
    if (upload_) RETURN_IF_ERROR(upload_->Commit());
    *answer_ = *header_;
    return absl::OkStatus();
  }

  void End(const absl::Status& status) {
    ended_ = true;
    upload_.reset();
    Finish(ToGrpcStatus(status));
  }

  ArtifactStore& store_;
  v1::Artifact* const answer_;
  v1::UploadFileRequest message_;
  std::optional<v1::Artifact> header_;
  std::unique_ptr<ArtifactUpload> upload_;
  bool ended_ = false;
};

// Sends one chunk after the other.
class DownloadReactor : public grpc::ServerWriteReactor<v1::DownloadFileResponse> {
 public:
  DownloadReactor(const ArtifactStore& store, const std::string& sha256) {
    auto file = store.Read(sha256);
    if (!file.ok()) {
      Finish(ToGrpcStatus(file.status()));
      return;
    }
    file_ = *std::move(file);
    SendNext();
  }

  void OnWriteDone(bool ok) override {
    if (ok) {
      SendNext();
    } else {
      Finish(grpc::Status::CANCELLED);
    }
  }
  void OnDone() override { delete this; }

 private:
  void SendNext() {
    absl::StatusOr<std::string> chunk = file_->Read(kChunkBytes);
    if (!chunk.ok() || chunk->empty()) {
      Finish(ToGrpcStatus(chunk.status()));
      return;
    }
    response_.set_chunk(*std::move(chunk));
    StartWrite(&response_);
  }

  std::unique_ptr<ArtifactReader> file_;
  v1::DownloadFileResponse response_;
};

}  // namespace

grpc::ServerReadReactor<v1::UploadFileRequest>* ArtifactServiceImpl::UploadFile(
    grpc::CallbackServerContext* context, v1::Artifact* artifact) {
  return gate_.Stream<grpc::ServerReadReactor<v1::UploadFileRequest>>(
      context, "dropbp.v1.ArtifactService/UploadFile",
      [&] { return new UploadReactor(store_, artifact); });
}

grpc::ServerWriteReactor<v1::DownloadFileResponse>* ArtifactServiceImpl::DownloadFile(
    grpc::CallbackServerContext* context, const v1::DownloadFileRequest* request) {
  return gate_.Stream<grpc::ServerWriteReactor<v1::DownloadFileResponse>>(
      context, "dropbp.v1.ArtifactService/DownloadFile",
      [&] { return new DownloadReactor(store_, request->sha256()); });
}

}  // namespace dropbp::server
