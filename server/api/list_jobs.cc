#include "server/api/list_jobs.h"

#include <algorithm>

#include "proto/support/grpc_status.h"
#include "server/api/page_token.h"

namespace dropbp::server {
namespace {

constexpr int kDefaultPage = 50;
constexpr int kLargestPage = 1000;

}  // namespace

absl::StatusOr<v1::ListJobsResponse> ListJobs(Coordinator& coordinator,
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

}  // namespace dropbp::server
