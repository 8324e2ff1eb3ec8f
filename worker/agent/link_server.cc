#include "worker/agent/link_server.h"

#include <spdlog/spdlog.h>

#include <optional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/text.h"
#include "proto/support/grpc_status.h"
#include "worker/agent/checkpoint_uploader.h"
#include "worker/agent/models.h"

namespace dropbp::agent {
namespace {

// A probe report of a large model is some megabytes.
constexpr int kMaxReportBytes = 64 << 20;

template <typename Message>
void SetRank(const RankKey& key, Message& message) {
  message.set_job_id(key.job_id);
  message.set_attempt(key.attempt);
  message.set_rank(key.rank);
}

}  // namespace

LinkServer::LinkServer(Hooks hooks, const WorkFolder& folder, const ArtifactClient& artifacts,
                       const CheckpointCache& checkpoints)
    : hooks_(std::move(hooks)), folder_(folder), artifacts_(artifacts), checkpoints_(checkpoints) {}

void LinkServer::Stop() {
  if (server_) server_->Shutdown(std::chrono::system_clock::now());
  server_.reset();
}

absl::Status LinkServer::Start() {
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kMaxReportBytes);
  int listening = 0;
  builder.AddListeningPort("unix:" + folder_.SocketPath(), grpc::InsecureServerCredentials(),
                           &listening);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  if (server_ != nullptr && listening != 0) return absl::OkStatus();
  return absl::UnavailableError("cannot listen on " + folder_.SocketPath());
}

grpc::Status LinkServer::Connect(grpc::ServerContext* context, Stream* stream) {
  v1::ConnectRequest first;
  if (!stream->Read(&first) || !first.has_hello()) {
    return {grpc::StatusCode::INVALID_ARGUMENT, "the first message must be hello"};
  }
  const std::shared_ptr<TrainerRun> run = hooks_.find_run(first.hello().token());
  if (run == nullptr) {
    spdlog::warn("process {} spoke with a token that no trainer has", first.hello().pid());
    return {grpc::StatusCode::PERMISSION_DENIED, "the token is not that of a live trainer"};
  }
  std::optional<v1::Assignment> assignment = run->AttachLink([context] { context->TryCancel(); });
  if (!assignment) return {grpc::StatusCode::FAILED_PRECONDITION, "the trainer was connected"};

  const int world_size = assignment->world_size();
  v1::ConnectResponse welcome;
  *welcome.mutable_assignment() = *std::move(assignment);
  stream->Write(welcome);
  std::thread writer([&] {
    while (const auto message = run->NextMessage()) stream->Write(*message);
  });
  const absl::Status status = Relay(*run, world_size, *stream);
  run->CloseMessages();
  writer.join();
  run->DetachLink();
  return ToGrpcStatus(status);
}

absl::Status LinkServer::Relay(TrainerRun& run, int world_size, Stream& stream) {
  std::optional<v1::TrainerFinished> finished;
  {
    // Its end waits for what is being uploaded.
    CheckpointUploader checkpoints(run, world_size, folder_, artifacts_, checkpoints_, hooks_.send);
    v1::ConnectRequest request;
    while (!finished && stream.Read(&request)) {
      if (request.has_report()) SendReport(run, std::move(*request.mutable_report()));
      if (request.has_checkpoint()) checkpoints.Add(std::move(*request.mutable_checkpoint()));
      if (request.has_finished()) finished = std::move(*request.mutable_finished());
    }
  }
  return finished ? Finish(run, *std::move(finished)) : absl::OkStatus();
}

void LinkServer::SendReport(const TrainerRun& run, v1::TrainerReport report) {
  v1::SessionRequest frame;
  SetRank(run.key(), *frame.mutable_rank_report());
  *frame.mutable_rank_report()->mutable_report() = std::move(report);
  hooks_.send(std::move(frame));
}

absl::Status LinkServer::Finish(TrainerRun& run, v1::TrainerFinished finished) {
  const absl::Status uploaded = UploadResults(run, finished);
  if (!uploaded.ok()) {
    spdlog::error("{}", uploaded.ToString());
    v1::TrainerReport report;
    report.mutable_failure()->set_kind(v1::TrainerFailure::RETRYABLE);
    report.mutable_failure()->set_message(
        ToValidUtf8(absl::StrCat("results could not be uploaded: ", uploaded.message())));
    SendReport(run, std::move(report));
    return absl::AbortedError(uploaded.message());
  }
  v1::SessionRequest frame;
  SetRank(run.key(), *frame.mutable_rank_finished());
  *frame.mutable_rank_finished()->mutable_finished() = std::move(finished);
  hooks_.send(std::move(frame));
  checkpoints_.Forget(run.key().job_id);
  run.ExpectEnd();
  return absl::OkStatus();
}

absl::Status LinkServer::UploadResults(const TrainerRun& run, v1::TrainerFinished& finished) {
  for (const std::string& name : finished.files()) {
    if (!IsPlainName(name)) {
      return absl::InvalidArgumentError(absl::StrCat("'", name, "' is not a plain file name"));
    }
    const std::string path = absl::StrCat(folder_.OutputFolder(run.key()), "/", name);
    ASSIGN_OR_RETURN(*finished.add_artifacts(), artifacts_.Upload(path, name, run.transfers()));
  }
  return absl::OkStatus();
}

}  // namespace dropbp::agent
