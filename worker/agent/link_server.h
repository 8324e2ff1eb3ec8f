// Where trainers reach their agent: TrainerLinkService on a Unix socket.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>

#include "core/base/status.h"
#include "dropbp/v1/trainer_link.grpc.pb.h"
#include "worker/agent/artifact_client.h"
#include "worker/agent/checkpoint_cache.h"
#include "worker/agent/trainer_run.h"

namespace dropbp::agent {

// Checks tokens, hands out assignments, relays reports up and commands down, and uploads
// checkpoints and what a finished trainer made.
class LinkServer final : public v1::TrainerLinkService::Service {
 public:
  struct Hooks {
    // The run that a token belongs to; null if there is none.
    std::function<std::shared_ptr<TrainerRun>(const std::string& token)> find_run;
    SendFrame send;
  };

  LinkServer(Hooks hooks, const WorkFolder& folder, const ArtifactClient& artifacts,
             const CheckpointCache& checkpoints);
  ~LinkServer() override { Stop(); }

  // Listens on the folder's socket.
  absl::Status Start();
  // Breaks all streams; no hook is called any more once it returns.
  void Stop();

  grpc::Status Connect(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::ConnectResponse, v1::ConnectRequest>* stream) override;

 private:
  using Stream = grpc::ServerReaderWriter<v1::ConnectResponse, v1::ConnectRequest>;
  // Relays until the stream ends or the trainer is done.
  absl::Status Relay(TrainerRun& run, int world_size, Stream& stream);
  void SendReport(const TrainerRun& run, v1::TrainerReport report);
  // Uploads the results and tells the coordinator.
  absl::Status Finish(TrainerRun& run, v1::TrainerFinished finished);
  absl::Status UploadResults(const TrainerRun& run, v1::TrainerFinished& finished);

  const Hooks hooks_;
  const WorkFolder& folder_;
  const ArtifactClient& artifacts_;
  const CheckpointCache& checkpoints_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace dropbp::agent
