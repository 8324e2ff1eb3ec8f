// Cluster: jobs.
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/files.h"
#include "proto/support/job_spec_proto.h"
#include "tests/support/cluster.h"

namespace dropbp::testing {
namespace {

const auto kSilent = [](int64_t, int64_t) {};

std::string Summary(const v1::Job& job) {
  return absl::StrCat("job ", job.job_id(), " is ", v1::Job::State_Name(job.state()), ", attempt ",
                      job.attempt(), ", step ", job.progress().step(), ": ", job.state_message());
}

}  // namespace

absl::StatusOr<std::string> Cluster::Submit(const JobSpec& spec, const std::string& jsonl,
                                            const std::string& job_id) {
  v1::Artifact header;
  header.set_name("data.jsonl");
  header.set_sha256(Sha256Hex(jsonl));
  header.set_size_bytes(static_cast<int64_t>(jsonl.size()));
  const std::string path = (folder_ / absl::StrCat(header.sha256(), ".jsonl")).string();
  std::ofstream(path) << jsonl;
  RETURN_IF_ERROR(client_->Upload(path, header, kSilent).status());
  v1::CreateJobRequest request;
  request.set_job_id(job_id);
  *request.mutable_spec() = JobSpecToProto(spec);
  request.mutable_spec()->mutable_dataset()->set_artifact(header.sha256());
  ASSIGN_OR_RETURN(const v1::Job job, client_->CreateJob(request));
  return job.job_id();
}

absl::StatusOr<v1::Job> Cluster::WaitUntil(
    const std::string& job_id, absl::Duration timeout,
    const std::function<bool(const v1::JobEvent&)>& reached) {
  client::StopToken found;
  ASSIGN_OR_RETURN(auto watcher, MakeClient(found));
  const auto end =
      watcher->WatchToEnd(job_id, 0, absl::Now() + timeout, [&](const v1::JobEvent& event) {
        if (reached(event)) found.Request();
      });
  if (found.Requested()) return client_->GetJob(job_id);
  if (end.ok())
    return absl::FailedPreconditionError(
        absl::StrCat(Summary(*end), "; it ended without what was awaited"));
  ASSIGN_OR_RETURN(const v1::Job job, client_->GetJob(job_id));
  return Annotate(end.status(), Summary(job));
}

absl::StatusOr<v1::Job> Cluster::WaitForState(const std::string& job_id, v1::Job::State state) {
  return WaitUntil(job_id, kPatience,
                   [state](const v1::JobEvent& event) { return event.state() == state; });
}

absl::StatusOr<v1::Job> Cluster::WaitForStep(const std::string& job_id, int64_t step) {
  return WaitUntil(job_id, kPatience, [step](const v1::JobEvent& event) {
    return event.type() == v1::JobEvent::STEP && event.progress().step() >= step;
  });
}

absl::StatusOr<v1::Job> Cluster::WaitForEnd(const std::string& job_id, absl::Duration timeout) {
  return WaitUntil(job_id, timeout,
                   [](const v1::JobEvent& event) { return client::IsFinal(event.state()); });
}

absl::StatusOr<std::vector<v1::JobEvent>> Cluster::Events(const std::string& job_id) {
  std::vector<v1::JobEvent> events;
  RETURN_IF_ERROR(client_
                      ->WatchToEnd(job_id, 0, absl::Now() + kPatience,
                                   [&](const v1::JobEvent& event) {
                                     if (event.type() != v1::JobEvent::STEP)
                                       events.push_back(event);
                                   })
                      .status());
  return events;
}

absl::StatusOr<std::string> Cluster::Log(const std::string& job_id, int rank) {
  v1::ReadJobLogsRequest request;
  request.set_job_id(job_id);
  request.set_rank(rank);
  client::LogCursor cursor;
  std::string text;
  RETURN_IF_ERROR(client_->ReadLogs(
      request, cursor, [&](const v1::ReadJobLogsResponse& part) { text += part.text(); }));
  return text;
}

}  // namespace dropbp::testing
