// The link over gRPC and the agent's Unix socket; the protocol is told in
// proto/dropbp/v1/trainer_link.proto.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <deque>
#include <optional>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "dropbp/v1/trainer_link.grpc.pb.h"
#include "worker/trainer/link/coordinator_link.h"
#include "worker/trainer/link/kv_client.h"

namespace dropbp::trainer {

// One reader thread takes in what the agent sends, one writer thread sends what is queued, in
// order. The stream lives as long as the trainer. If it ends before the trainer said its last word
// (finished, failure, or the link's destruction), the process exits with code 3 at once.
class GrpcLink final : public CoordinatorLink {
 public:
  // Says hello and receives the assignment. UNAVAILABLE if nobody listens, PERMISSION_DENIED for a
  // wrong token.
  static absl::StatusOr<std::unique_ptr<GrpcLink>> Connect(const std::string& socket_path,
                                                           const std::string& token);
  // Sends what is queued (for at most 5 seconds) and closes the stream.
  ~GrpcLink() override;

  const Assignment& assignment() const override { return assignment_; }
  std::shared_ptr<RendezvousStore> store() override { return store_; }
  void ReportReady(int64_t first_step, int64_t total_steps) override;
  void ReportStep(const StepReport& report) override;
  void ReportProbe(const ProbeReport& report) override;
  void ReportPlan(const DropPlan& plan) override;
  void ReportCheckpoint(const CheckpointReport& report) override;
  // Returns when the agent has taken it, or after 5 seconds.
  void ReportFailure(FailureKind kind, const std::string& message) override;
  void ReportEvaluation(const EvaluationReport& evaluation) override;
  absl::Status ReportFinished(int64_t steps, const std::vector<std::string>& files,
                              const std::string& early_stop) override;
  std::vector<MaskBlock> TakeMaskBlocks() override;
  StopRequest stop_request() const override { return stop_request_; }

 private:
  explicit GrpcLink(const std::shared_ptr<grpc::Channel>& channel);

  absl::Status Greet(const std::string& token);
  void StartThreads();
  void ReadLoop();
  void WriteLoop();
  void Take(const v1::ConnectResponse& response);
  void Send(v1::ConnectRequest request);
  // Queues the last word, half-closes after it and waits for the end of the stream.
  // The stream's status, or nothing if it has not ended within the timeout.
  std::optional<absl::Status> SayLastWord(std::optional<v1::ConnectRequest> request,
                                          absl::Duration timeout);

  // Constant once Connect has returned.
  const std::unique_ptr<v1::TrainerLinkService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::ConnectRequest, v1::ConnectResponse>> stream_;
  Assignment assignment_;
  std::shared_ptr<KvClient> store_;

  std::atomic<StopRequest> stop_request_ = StopRequest::kNone;
  std::thread reader_;
  std::thread writer_;

  absl::Mutex mutex_;
  std::deque<v1::ConnectRequest> outgoing_ ABSL_GUARDED_BY(mutex_);
  std::vector<MaskBlock> mask_blocks_ ABSL_GUARDED_BY(mutex_);
  bool last_word_said_ ABSL_GUARDED_BY(mutex_) = false;
  bool reading_ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace dropbp::trainer
