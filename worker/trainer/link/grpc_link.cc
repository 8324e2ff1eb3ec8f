#include "worker/trainer/link/grpc_link.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "proto/support/grpc_status.h"
#include "proto/support/job_spec_proto.h"
#include "worker/trainer/link/link_proto.h"

namespace dropbp::trainer {
namespace {

constexpr absl::Duration kConnectTimeout = absl::Seconds(10);
constexpr absl::Duration kLastWordTimeout = absl::Seconds(5);
// A mask block of a large global batch is some megabytes; gRPC's default limit is 4 MiB.
constexpr int kMaxMessageBytes = 64 << 20;
constexpr int kAgentGoneExitCode = 3;

std::shared_ptr<grpc::Channel> UnixChannel(const std::string& socket_path) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  return grpc::CreateCustomChannel("unix:" + socket_path, grpc::InsecureChannelCredentials(),
                                   arguments);
}

// Whether a stream that ended with this status ended because there is no agent any more.
bool IsAgentGone(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsCancelled(status) || absl::IsUnknown(status);
}

// No destructor may run: other threads are in the middle of training or of a collective.
[[noreturn]] void ExitWithoutAgent(const absl::Status& status) {
  std::fprintf(stderr, "dropbp-trainer: the agent is gone (%s), so this trainer ends\n",
               status.ToString().c_str());
  std::fflush(stderr);
  std::_Exit(kAgentGoneExitCode);
}

v1::ConnectRequest Report(v1::TrainerReport report) {
  v1::ConnectRequest request;
  *request.mutable_report() = std::move(report);
  return request;
}

}  // namespace

absl::StatusOr<std::unique_ptr<GrpcLink>> GrpcLink::Connect(const std::string& socket_path,
                                                            const std::string& token) {
  const std::shared_ptr<grpc::Channel> channel = UnixChannel(socket_path);
  if (!channel->WaitForConnected(absl::ToChronoTime(absl::Now() + kConnectTimeout))) {
    return absl::UnavailableError(absl::StrCat("no agent answers at ", socket_path, " within ",
                                               absl::FormatDuration(kConnectTimeout)));
  }
  std::unique_ptr<GrpcLink> link(new GrpcLink(channel));
  RETURN_IF_ERROR(Annotate(link->Greet(token), absl::StrCat("agent at ", socket_path)));
  link->StartThreads();
  return link;
}

GrpcLink::GrpcLink(const std::shared_ptr<grpc::Channel>& channel)
    : stub_(v1::TrainerLinkService::NewStub(channel)),
      store_(std::make_shared<KvClient>([this](v1::KvRequest request) {
        v1::TrainerReport report;
        *report.mutable_kv() = std::move(request);
        Send(Report(std::move(report)));
      })) {}

GrpcLink::~GrpcLink() {
  if (!reader_.joinable()) return;
  if (!SayLastWord(std::nullopt, kLastWordTimeout)) context_.TryCancel();
  reader_.join();
}

absl::Status GrpcLink::Greet(const std::string& token) {
  stream_ = stub_->Connect(&context_);
  v1::ConnectRequest hello;
  hello.mutable_hello()->set_token(token);
  hello.mutable_hello()->set_pid(getpid());
  v1::ConnectResponse response;
  if (!stream_->Write(hello) || !stream_->Read(&response)) {
    const absl::Status status = FromGrpcStatus(stream_->Finish());
    return status.ok() ? absl::UnavailableError("the stream ended before the assignment") : status;
  }
  if (!response.has_assignment()) {
    context_.TryCancel();
    stream_->Finish().IgnoreError();
    return absl::InternalError("the first message is not an assignment");
  }
  assignment_ = AssignmentFromProto(response.assignment());
  return absl::OkStatus();
}

void GrpcLink::StartThreads() {
  writer_ = std::thread([this] { WriteLoop(); });
  reader_ = std::thread([this] { ReadLoop(); });
}

void GrpcLink::ReadLoop() {
  v1::ConnectResponse response;
  while (stream_->Read(&response)) Take(response);
  {
    absl::MutexLock lock(&mutex_);
    reading_ended_ = true;
  }
  writer_.join();
  const absl::Status status = FromGrpcStatus(stream_->Finish());
  store_->Close();
  absl::MutexLock lock(&mutex_);
  if (!last_word_said_) ExitWithoutAgent(status);
  end_ = status;
}

void GrpcLink::WriteLoop() {
  while (true) {
    v1::ConnectRequest request;
    {
      absl::MutexLock lock(&mutex_);
      const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return !outgoing_.empty() || last_word_said_ || reading_ended_;
      };
      mutex_.Await(absl::Condition(&has_work));
      if (reading_ended_) return;
      if (outgoing_.empty()) break;
      request = std::move(outgoing_.front());
      outgoing_.pop_front();
    }
    if (!stream_->Write(request)) return;
  }
  stream_->WritesDone();
}

void GrpcLink::Take(const v1::ConnectResponse& response) {
  if (response.has_stop()) {
    // A later request counts: one that saves nothing any more has no time for it.
    stop_request_ =
        response.stop().save_checkpoint() ? StopRequest::kSaveAndStop : StopRequest::kStop;
  } else if (response.command().has_kv()) {
    store_->Answer(response.command().kv());
  } else if (response.command().has_mask_block()) {
    absl::MutexLock lock(&mutex_);
    mask_blocks_.push_back(MaskBlockFromProto(response.command().mask_block()));
  }
}

void GrpcLink::Send(v1::ConnectRequest request) {
  absl::MutexLock lock(&mutex_);
  if (!last_word_said_) outgoing_.push_back(std::move(request));
}

std::optional<absl::Status> GrpcLink::SayLastWord(std::optional<v1::ConnectRequest> request,
                                                  absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  if (request && !last_word_said_) outgoing_.push_back(*std::move(request));
  last_word_said_ = true;
  const auto ended = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return end_.has_value(); };
  mutex_.AwaitWithTimeout(absl::Condition(&ended), timeout);
  return end_;
}

void GrpcLink::ReportReady(int64_t first_step, int64_t total_steps) {
  v1::TrainerReport report;
  report.mutable_ready()->set_first_step(first_step);
  report.mutable_ready()->set_total_steps(total_steps);
  Send(Report(std::move(report)));
}

void GrpcLink::ReportStep(const StepReport& step) {
  v1::TrainerReport report;
  *report.mutable_step() = StepReportToProto(step);
  Send(Report(std::move(report)));
}

void GrpcLink::ReportProbe(const ProbeReport& probe) {
  v1::TrainerReport report;
  *report.mutable_probe() = ProbeReportToProto(probe);
  Send(Report(std::move(report)));
}

void GrpcLink::ReportPlan(const DropPlan& plan) {
  v1::TrainerReport report;
  *report.mutable_plan_digest() = PlanDigestOf(plan);
  Send(Report(std::move(report)));
}

void GrpcLink::ReportCheckpoint(const CheckpointReport& report) {
  v1::ConnectRequest request;
  *request.mutable_checkpoint() = CheckpointReportToProto(report);
  Send(std::move(request));
}

void GrpcLink::ReportFailure(FailureKind kind, const std::string& message) {
  v1::TrainerReport report;
  *report.mutable_failure() = FailureToProto(kind, message);
  SayLastWord(Report(std::move(report)), kLastWordTimeout);
}

void GrpcLink::ReportEvaluation(const EvaluationReport& evaluation) {
  v1::TrainerReport report;
  *report.mutable_evaluation() = EvaluationReportToProto(evaluation);
  Send(Report(std::move(report)));
}

absl::Status GrpcLink::ReportFinished(int64_t steps, const std::vector<std::string>& files,
                                      const std::string& early_stop) {
  v1::ConnectRequest request;
  request.mutable_finished()->set_steps(steps);
  request.mutable_finished()->set_early_stop(early_stop);
  for (const std::string& file : files) request.mutable_finished()->add_files(file);
  const absl::Status status = *SayLastWord(std::move(request), absl::InfiniteDuration());
  if (IsAgentGone(status)) ExitWithoutAgent(status);
  return status;
}

std::vector<MaskBlock> GrpcLink::TakeMaskBlocks() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(mask_blocks_, {});
}

absl::StatusOr<std::unique_ptr<CoordinatorLink>> ConnectToAgent(const std::string& socket_path,
                                                                const std::string& token) {
  return GrpcLink::Connect(socket_path, token);
}

}  // namespace dropbp::trainer
