#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/commands/command.h"
#include "client/commands/commands.h"
#include "client/format.h"
#include "client/job_view.h"
#include "client/json.h"

namespace dropbp::client {
namespace {

constexpr int kPageSize = 100;

struct ListOptions {
  std::vector<std::string> states;
  std::vector<std::string> labels;
  int limit = 20;
};

absl::StatusOr<v1::Job::State> ParseState(const std::string& name) {
  v1::Job::State state;
  if (v1::Job::State_Parse(absl::AsciiStrToUpper(name), &state) &&
      state != v1::Job::STATE_UNSPECIFIED)
    return state;
  std::string legal;
  for (int value = v1::Job::QUEUED; value <= v1::Job::State_MAX; ++value) {
    absl::StrAppend(&legal, legal.empty() ? "" : ", ",
                    absl::AsciiStrToLower(StateName(static_cast<v1::Job::State>(value))));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--state: found \"", name, "\", legal is ", legal));
}

absl::StatusOr<v1::ListJobsRequest> MakeRequest(const ListOptions& options) {
  v1::ListJobsRequest request;
  for (const std::string& name : options.states) {
    ASSIGN_OR_RETURN(const v1::Job::State state, ParseState(name));
    request.add_states(state);
  }
  for (const std::string& label : options.labels) {
    const size_t equals = label.find('=');
    if (equals == std::string::npos || equals == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("--label: found \"", label, "\", legal is KEY=VALUE"));
    }
    (*request.mutable_labels())[label.substr(0, equals)] = label.substr(equals + 1);
  }
  return request;
}

// As many pages as the limit needs; next_page_token is set if there are more jobs.
absl::StatusOr<v1::ListJobsResponse> ListUpTo(JobClient& client, v1::ListJobsRequest request,
                                              int limit) {
  v1::ListJobsResponse all;
  do {
    request.set_page_size(std::min(kPageSize, limit - all.jobs_size()));
    ASSIGN_OR_RETURN(v1::ListJobsResponse page, client.ListJobs(request));
    for (v1::Job& job : *page.mutable_jobs()) *all.add_jobs() = std::move(job);
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && all.jobs_size() < limit);
  all.set_next_page_token(request.page_token());
  return all;
}

absl::StatusOr<ExitCode> List(Session& session, const ListOptions& options) {
  ASSIGN_OR_RETURN(const v1::ListJobsRequest request, MakeRequest(options));
  ASSIGN_OR_RETURN(auto client, session.Connect());
  ASSIGN_OR_RETURN(const v1::ListJobsResponse found, ListUpTo(*client, request, options.limit));
  if (session.json()) {
    PrintJson(found, session.out());
    return ExitCode::kOk;
  }
  if (found.jobs().empty()) {
    session.Say("No jobs.");
    session.SuggestNext("dropbp submit -f job.yaml");
    return ExitCode::kOk;
  }
  PrintJobs({found.jobs().begin(), found.jobs().end()}, absl::Now(), session.out());
  if (!found.next_page_token().empty()) {
    session.Say(absl::StrCat("There are more; these are the newest ", options.limit, "."));
    session.SuggestNext(absl::StrCat("dropbp list --limit ", options.limit * 5));
  }
  return ExitCode::kOk;
}

}  // namespace

void AddList(CLI::App& app, Session& session) {
  std::shared_ptr<ListOptions> options;
  CLI::App* command =
      AddCommand<ListOptions>(app, session, "list", "List jobs, newest first",
                              "  dropbp list\n"
                              "  dropbp list --state running,queued --label team=support\n"
                              "  dropbp list --limit 500 --output json\n",
                              List, options);
  command->add_option("--state", options->states, "Only jobs in these states, comma-separated")
      ->delimiter(',');
  command
      ->add_option("--label", options->labels,
                   "Only jobs with this label, KEY=VALUE; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  command->add_option("--limit", options->limit, "At most this many jobs")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
}

}  // namespace dropbp::client
