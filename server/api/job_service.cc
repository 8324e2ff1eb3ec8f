#include "server/api/job_service.h"

#include <algorithm>

#include "proto/support/grpc_status.h"
#include "server/api/log_reactor.h"
#include "server/api/page_token.h"
#include "server/api/watch_reactor.h"

namespace dropbp::server {
namespace {

constexpr int kDefaultPage = 50;
constexpr int kLargestPage = 1000;

absl::StatusOr<v1::ListJobsResponse> List(Coordinator& coordinator,
                                          const v1::ListJobsRequest& request) {
  if (request.page_size() < 0) {
    const FieldViolation violation{"page_size", "found a negative number, legal is 0 to 1000"};
    return InvalidFields({&violation, 1});
  }
  JobQuery query;
  ASSIGN_OR_RETURN(query.before_order, ReadPageToken(request));
  query.limit =
      request.page_size() == 0 ? kDefaultPage : std::min(request.page_size(), kLargestPage);
  for (int state : request.states()) query.states.push_back(static_cast<v1::Job::State>(state));
  query.labels.insert(request.labels().begin(), request.labels().end());
  ASSIGN_OR_RETURN(JobPage page, coordinator.ListJobs(query));
  v1::ListJobsResponse response;
  for (v1::Job& job : page.jobs) *response.add_jobs() = std::move(job);
  response.set_next_page_token(MakePageToken(request, page.next_order));
  return response;
}

}  // namespace

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
                     [&] { return List(coordinator_, *request); });
}

grpc::ServerUnaryReactor* JobServiceImpl::CancelJob(grpc::CallbackServerContext* context,
                                                    const v1::CancelJobRequest* request,
                                                    v1::Job* job) {
  return gate_.Unary(context, "dropbp.v1.JobService/CancelJob", job,
                     [&] { return coordinator_.CancelJob(request->job_id()); });
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
