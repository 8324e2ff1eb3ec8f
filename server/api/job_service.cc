#include "server/api/job_service.h"

#include "proto/support/grpc_status.h"
#include "server/api/list_jobs.h"
#include "server/api/log_reactor.h"
#include "server/api/watch_reactor.h"

namespace dropbp::server {
namespace {

template <typename Message>
grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context,
                                 absl::StatusOr<Message> result, Message* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (result.ok()) *response = *std::move(result);
  reactor->Finish(ToGrpcStatus(result.status()));
  return reactor;
}

}  // namespace

grpc::ServerUnaryReactor* JobServiceImpl::CreateJob(grpc::CallbackServerContext* context,
                                                    const v1::CreateJobRequest* request,
                                                    v1::Job* job) {
  return Answer(context, coordinator_.CreateJob(*request), job);
}

grpc::ServerUnaryReactor* JobServiceImpl::PlanJob(grpc::CallbackServerContext* context,
                                                  const v1::PlanJobRequest* request,
                                                  v1::PlanJobResponse* response) {
  return Answer(context, coordinator_.PlanJob(*request), response);
}

grpc::ServerUnaryReactor* JobServiceImpl::GetJob(grpc::CallbackServerContext* context,
                                                 const v1::GetJobRequest* request, v1::Job* job) {
  return Answer(context, coordinator_.GetJob(request->job_id()), job);
}

grpc::ServerUnaryReactor* JobServiceImpl::ListJobs(grpc::CallbackServerContext* context,
                                                   const v1::ListJobsRequest* request,
                                                   v1::ListJobsResponse* response) {
  return Answer(context, dropbp::server::ListJobs(coordinator_, *request), response);
}

grpc::ServerUnaryReactor* JobServiceImpl::CancelJob(grpc::CallbackServerContext* context,
                                                    const v1::CancelJobRequest* request,
                                                    v1::Job* job) {
  return Answer(context, coordinator_.CancelJob(request->job_id()), job);
}

grpc::ServerWriteReactor<v1::JobEvent>* JobServiceImpl::WatchJob(
    grpc::CallbackServerContext*, const v1::WatchJobRequest* request) {
  return StartWatch(coordinator_, *request);
}

grpc::ServerWriteReactor<v1::ReadJobLogsResponse>* JobServiceImpl::ReadJobLogs(
    grpc::CallbackServerContext*, const v1::ReadJobLogsRequest* request) {
  return StartReadLogs(coordinator_, logs_, *request);
}

}  // namespace dropbp::server
