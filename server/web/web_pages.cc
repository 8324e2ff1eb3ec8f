#include "server/web/web_pages.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/job/job_fields.h"
#include "dropbp/v1/history.pb.h"
#include "proto/support/grpc_status.h"
#include "server/api/list_jobs.h"
#include "server/web/assets.h"
#include "server/web/json_answer.h"
#include "server/web/query.h"

namespace dropbp::server {
namespace {

constexpr int kDefaultJobs = 20;
constexpr int kMostJobs = 100;
constexpr int kMostEvents = 100;

HttpResponse NotFound() { return {.code = 404, .body = "no such page\n"}; }

absl::string_view ContentType(absl::string_view name) {
  if (absl::EndsWith(name, ".html")) return "text/html; charset=utf-8";
  if (absl::EndsWith(name, ".css")) return "text/css; charset=utf-8";
  if (absl::EndsWith(name, ".js")) return "text/javascript; charset=utf-8";
  return "image/svg+xml";
}

HttpResponse AnswerAsset(const std::string& name) {
  for (const Asset& asset : Assets()) {
    if (asset.name != name) continue;
    return {.code = 200,
            .content_type = std::string(ContentType(name)),
            .body = std::string(asset.content)};
  }
  return NotFound();
}

// Whether a Host header ("host", "host:port", "[v6]:port") can come from no web site's own name.
bool NamesAddressOrLocalhost(absl::string_view host) {
  if (absl::StartsWith(host, "[")) return true;
  host = host.substr(0, host.find(':'));
  return absl::EqualsIgnoreCase(host, "localhost") ||
         host.find_first_not_of("0123456789.") == absl::string_view::npos;
}

absl::StatusOr<v1::ListJobsRequest> ReadListQuery(const std::string& query) {
  v1::ListJobsRequest request;
  request.set_page_size(kDefaultJobs);
  ASSIGN_OR_RETURN(const QueryParameters parameters, ParseQuery(query));
  for (const auto& [name, value] : parameters) {
    int size = 0;
    v1::Job::State state = v1::Job::STATE_UNSPECIFIED;
    if (name == "page_token") {
      request.set_page_token(value);
    } else if (name == "page_size" && absl::SimpleAtoi(value, &size) && size > 0) {
      request.set_page_size(std::min(size, kMostJobs));
    } else if (name == "state" && v1::Job::State_Parse(value, &state)) {
      request.add_states(state);
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("query: found '", name, "=", value,
                       "', legal are page_size=NUMBER above 0, page_token=TOKEN, state=STATE"));
    }
  }
  return request;
}

}  // namespace

HttpResponse WebPages::Answer(const HttpRequest& request) {
  if (!options_.any_host && !NamesAddressOrLocalhost(request.host)) {
    return {.code = 403, .body = "ask for localhost or an IP address, not for another name\n"};
  }
  absl::string_view path = request.path;
  if (path == "/metrics") {
    return {.code = 200,
            .content_type = "text/plain; version=0.0.4; charset=utf-8",
            .body = options_.metrics()};
  }
  if (absl::ConsumePrefix(&path, "/api/v1/")) return AnswerApi(path, request);
  if (path == "/") return AnswerAsset("index.html");
  return absl::ConsumePrefix(&path, "/") ? AnswerAsset(std::string(path)) : NotFound();
}

HttpResponse WebPages::AnswerApi(absl::string_view path, const HttpRequest& request) {
  if (path == "jobs") return Jobs(request.query);
  if (path == "workers") return Workers();
  return absl::ConsumePrefix(&path, "jobs/") ? AnswerJob(path) : NotFound();
}

HttpResponse WebPages::AnswerJob(absl::string_view path) {
  const size_t slash = path.find('/');
  const std::string job_id(path.substr(0, slash));
  if (!IsLegalJobId(job_id)) return NotFound();
  const absl::string_view what = slash == absl::string_view::npos ? "" : path.substr(slash);
  if (what.empty()) return JsonAnswerOf(coordinator_.GetJob(job_id));
  if (what == "/events") return Events(job_id);
  if (what == "/steps") return JsonAnswerOf(curves_.Look(job_id));
  return NotFound();
}

HttpResponse WebPages::Jobs(const std::string& query) {
  const absl::StatusOr<v1::ListJobsRequest> request = ReadListQuery(query);
  if (!request.ok()) return JsonError(request.status());
  absl::StatusOr<v1::ListJobsResponse> response = ListJobs(coordinator_, *request);
  if (!response.ok()) return JsonError(response.status());
  // Asked for every other second: what is long is in the answer for one job.
  for (v1::Job& job : *response->mutable_jobs()) {
    if (!job.has_plan()) continue;
    job.mutable_plan()->clear_units();
    job.mutable_plan()->clear_stages();
  }
  return JsonAnswer(*response);
}

HttpResponse WebPages::Workers() {
  v1::ListWorkersResponse response;
  for (v1::Worker& worker : coordinator_.ListWorkers()) *response.add_workers() = std::move(worker);
  return JsonAnswer(response);
}

HttpResponse WebPages::Events(const std::string& job_id) {
  absl::StatusOr<std::vector<v1::JobEvent>> events = coordinator_.NewestEvents(job_id, kMostEvents);
  if (!events.ok()) return JsonError(events.status());
  v1::EventHistory history;
  for (v1::JobEvent& event : *events) *history.add_events() = std::move(event);
  return JsonAnswer(history);
}

}  // namespace dropbp::server
