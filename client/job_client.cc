#include "client/job_client.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/random_name.h"
#include "proto/support/grpc_status.h"

namespace dropbp::client {

bool IsFinal(v1::Job::State state) {
  return state == v1::Job::SUCCEEDED || state == v1::Job::FAILED || state == v1::Job::CANCELLED;
}

absl::StatusOr<std::unique_ptr<JobClient>> JobClient::Open(JobClientSettings settings,
                                                           StopToken& stop) {
  ASSIGN_OR_RETURN(auto channel, OpenChannel(settings.coordinator));
  return std::unique_ptr<JobClient>(new JobClient(std::move(settings), stop, channel));
}

JobClient::JobClient(JobClientSettings settings, StopToken& stop,
                     const std::shared_ptr<grpc::Channel>& channel)
    : settings_(std::move(settings)),
      stop_(stop),
      jobs_(v1::JobService::NewStub(channel)),
      artifacts_(v1::ArtifactService::NewStub(channel)),
      cluster_(v1::ClusterService::NewStub(channel)),
      health_(grpc::health::v1::Health::NewStub(channel)) {}

absl::Status JobClient::ToStatus(const grpc::Status& status) const {
  if (stop_.Requested() && !status.ok()) return absl::CancelledError("stopped by the user");
  // What nobody here cancelled, a coordinator did that is going down.
  if (status.error_code() == grpc::StatusCode::CANCELLED) {
    return absl::UnavailableError("the coordinator is stopping");
  }
  return FromGrpcStatus(status);
}

absl::Status JobClient::Call(const std::function<grpc::Status(grpc::ClientContext&)>& rpc,
                             absl::Duration timeout) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  StopToken::Callback cancel(stop_, [&context] { context.TryCancel(); });
  absl::Status status = ToStatus(rpc(context));
  // A coordinator that accepts connections but does not answer is as good as none.
  if (absl::IsDeadlineExceeded(status)) {
    return absl::UnavailableError(absl::StrCat("no answer within ", absl::FormatDuration(timeout)));
  }
  return status;
}

absl::Status JobClient::Retry(const RetryPolicy& policy, absl::Time deadline,
                              const std::function<absl::Status()>& call) {
  return CallWithRetry(policy, stop_, deadline, call, [&](const absl::Status&) {
    settings_.talk(absl::StrCat("No coordinator answers at ", settings_.coordinator.address,
                                "; trying again for ", absl::FormatDuration(policy.give_up_after),
                                "."));
  });
}

absl::StatusOr<grpc::health::v1::HealthCheckResponse> JobClient::CheckHealth(
    absl::Duration timeout) {
  grpc::health::v1::HealthCheckResponse response;
  RETURN_IF_ERROR(
      Call([&](grpc::ClientContext& context) { return health_->Check(&context, {}, &response); },
           timeout));
  if (response.status() == grpc::health::v1::HealthCheckResponse::SERVING) return response;
  return absl::UnavailableError(absl::StrCat(
      "it says ", grpc::health::v1::HealthCheckResponse::ServingStatus_Name(response.status())));
}

template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> JobClient::CallUnary(
    Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
    const Request& request) {
  Response response;
  RETURN_IF_ERROR(Retry(settings_.retry, absl::InfiniteFuture(), [&] {
    return Call(
        [&](grpc::ClientContext& context) { return (stub.*method)(&context, request, &response); },
        settings_.call_timeout);
  }));
  return response;
}

absl::StatusOr<v1::Job> JobClient::CreateJob(v1::CreateJobRequest request) {
  if (request.request_id().empty()) request.set_request_id(RandomHex(16));
  return CallUnary(*jobs_, &v1::JobService::Stub::CreateJob, request);
}

absl::StatusOr<v1::PlanJobResponse> JobClient::PlanJob(const v1::PlanJobRequest& request) {
  return CallUnary(*jobs_, &v1::JobService::Stub::PlanJob, request);
}

absl::StatusOr<v1::Job> JobClient::GetJob(const std::string& job_id) {
  v1::GetJobRequest request;
  request.set_job_id(job_id);
  return CallUnary(*jobs_, &v1::JobService::Stub::GetJob, request);
}

absl::StatusOr<v1::ListJobsResponse> JobClient::ListJobs(const v1::ListJobsRequest& request) {
  return CallUnary(*jobs_, &v1::JobService::Stub::ListJobs, request);
}

absl::StatusOr<v1::Job> JobClient::CancelJob(const std::string& job_id) {
  v1::CancelJobRequest request;
  request.set_job_id(job_id);
  return CallUnary(*jobs_, &v1::JobService::Stub::CancelJob, request);
}

absl::StatusOr<v1::Job> JobClient::DeleteJob(const std::string& job_id) {
  v1::DeleteJobRequest request;
  request.set_job_id(job_id);
  return CallUnary(*jobs_, &v1::JobService::Stub::DeleteJob, request);
}

absl::StatusOr<v1::Job> JobClient::PauseJob(const std::string& job_id) {
  v1::PauseJobRequest request;
  request.set_job_id(job_id);
  return CallUnary(*jobs_, &v1::JobService::Stub::PauseJob, request);
}

absl::StatusOr<v1::Job> JobClient::ResumeJob(const std::string& job_id) {
  v1::ResumeJobRequest request;
  request.set_job_id(job_id);
  return CallUnary(*jobs_, &v1::JobService::Stub::ResumeJob, request);
}

absl::StatusOr<v1::ListCheckpointsResponse> JobClient::ListCheckpoints(const std::string& job_id) {
  v1::ListCheckpointsRequest request;
  request.set_job_id(job_id);
  return CallUnary(*jobs_, &v1::JobService::Stub::ListCheckpoints, request);
}

absl::StatusOr<v1::ListWorkersResponse> JobClient::ListWorkers() {
  return CallUnary(*cluster_, &v1::ClusterService::Stub::ListWorkers, v1::ListWorkersRequest());
}

absl::StatusOr<v1::Worker> JobClient::DrainWorker(const v1::DrainWorkerRequest& request) {
  return CallUnary(*cluster_, &v1::ClusterService::Stub::DrainWorker, request);
}

}  // namespace dropbp::client
