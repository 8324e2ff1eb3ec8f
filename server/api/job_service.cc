#include "server/api/job_service.h"

#include "proto/support/grpc_status.h"
#include "server/api/list_jobs.h"
#include "server/api/log_reactor.h"
#include "server/api/watch_reactor.h"

namespace dropbp::server {

grpc::ServerUnaryReactor* JobServiceImpl::CreateJob(grpc::CallbackServerContext* context,
                                                    const v1::CreateJobRequest* request,
                                                    v1::Job* job) {
  return gate_.Unary(context, "dropbp.v1.JobService/CreateJob", job,
                     [&] { return coordinator_.CreateJob(*request); });
}

grpc::ServerUnaryReactor* JobServiceImpl::PlanJob(grpc::CallbackServerContext* context,
                                                  const v1::PlanJobRequest* request,
                                                  v1::PlanJobResponse* response) {
  return gate_.Unary(context, "dropbp.v1.JobService/PlanJob", response,
                     [&] { return coordinator_.PlanJob(*request); });
}

grpc::ServerUnaryReactor* JobServiceImpl::GetJob(grpc::CallbackServerContext* context,
                                                 const v1::GetJobRequest* request, v1::Job* job) {
  return gate_.Unary(context, "dropbp.v1.JobService/GetJob", job,
                     [&] { return coordinator_.GetJob(request->job_id()); });
}

grpc::ServerUnaryReactor* JobServiceImpl::ListJobs(grpc::CallbackServerContext* context,
                                                   const v1::ListJobsRequest* request,
                                                   v1::ListJobsResponse* response) {
  return gate_.Unary(context, "dropbp.v1.JobService/ListJobs", response,
                     [&] { return dropbp::server::ListJobs(coordinator_, *request); });
}

grpc::ServerUnaryReactor* JobServiceImpl::CancelJob(grpc::CallbackServerContext* context,
                                                    const v1::CancelJobRequest* request,
                                                    v1::Job* job) {
  return gate_.Unary(context, "dropbp.v1.JobService/CancelJob", job,
                     [&] { return coordinator_.CancelJob(request->job_id()); });
}

grpc::ServerUnaryReactor* JobServiceImpl::DeleteJob(grpc::CallbackServerContext* context,
                                                    const v1::DeleteJobRequest* request,
                                                    v1::Job* job) {
  return gate_.Unary(context, "dropbp.v1.JobService/DeleteJob", job,
                     [&] { return coordinator_.DeleteJob(request->job_id()); });
}

grpc::ServerUnaryReactor* JobServiceImpl::PauseJob(grpc::CallbackServerContext* context,
                                                   const v1::PauseJobRequest* request,
                                                   v1::Job* job) {
  return gate_.Unary(context, "dropbp.v1.JobService/PauseJob", job,
                     [&] { return coordinator_.PauseJob(request->job_id()); });
}

grpc::ServerUnaryReactor* JobServiceImpl::ResumeJob(grpc::CallbackServerContext* context,
                                                    const v1::ResumeJobRequest* request,
                                                    v1::Job* job) {
  return gate_.Unary(context, "dropbp.v1.JobService/ResumeJob", job,
                     [&] { return coordinator_.ResumeJob(request->job_id()); });
}

grpc::ServerUnaryReactor* JobServiceImpl::ListCheckpoints(grpc::CallbackServerContext* context,
                                                          const v1::ListCheckpointsRequest* request,
                                                          v1::ListCheckpointsResponse* response) {
  return gate_.Unary(context, "dropbp.v1.JobService/ListCheckpoints", response,
                     [&]() -> absl::StatusOr<v1::ListCheckpointsResponse> {
                       ASSIGN_OR_RETURN(const auto found,
                                        coordinator_.ListCheckpoints(request->job_id()));
                       v1::ListCheckpointsResponse list;
                       list.mutable_checkpoints()->Add(found.begin(), found.end());
                       return list;
                     });
}

grpc::ServerWriteReactor<v1::JobEvent>* JobServiceImpl::WatchJob(
    grpc::CallbackServerContext* context, const v1::WatchJobRequest* request) {
  return gate_.Stream<grpc::ServerWriteReactor<v1::JobEvent>>(
      context, "dropbp.v1.JobService/WatchJob", [&] { return StartWatch(coordinator_, *request); });
}

grpc::ServerWriteReactor<v1::ReadJobLogsResponse>* JobServiceImpl::ReadJobLogs(
    grpc::CallbackServerContext* context, const v1::ReadJobLogsRequest* request) {
  return gate_.Stream<grpc::ServerWriteReactor<v1::ReadJobLogsResponse>>(
      context, "dropbp.v1.JobService/ReadJobLogs",
      [&] { return StartReadLogs(coordinator_, logs_, *request); });
}

}  // namespace dropbp::server
