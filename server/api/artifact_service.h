// ArtifactService: files in and out, in chunks.
#pragma once

#include <grpcpp/grpcpp.h>

#include "dropbp/v1/artifacts.grpc.pb.h"
#include "server/api/gate.h"
#include "server/artifacts/artifact_store.h"

namespace dropbp::server {

// Thread-safe. Its arguments outlive it.
class ArtifactServiceImpl : public v1::ArtifactService::CallbackService {
 public:
  ArtifactServiceImpl(const Gate& gate, ArtifactStore& store) : gate_(gate), store_(store) {}

  grpc::ServerReadReactor<v1::UploadFileRequest>* UploadFile(grpc::CallbackServerContext* context,
                                                             v1::Artifact* artifact) override;
  grpc::ServerWriteReactor<v1::DownloadFileResponse>* DownloadFile(
      grpc::CallbackServerContext* context, const v1::DownloadFileRequest* request) override;

 private:
  const Gate& gate_;
  ArtifactStore& store_;
};

}  // namespace dropbp::server
