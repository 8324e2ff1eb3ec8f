// The streams of JobClient: events and logs, each resumed where it was cut.
#include <utility>

#include "absl/time/clock.h"
#include "client/event_cursor.h"
#include "client/job_client.h"

namespace dropbp::client {
namespace {

// A stream that ends although the job has not: the coordinator is going down.
absl::Status CutOff() { return absl::UnavailableError("the stream ended before the job did"); }

}  // namespace

absl::Status JobClient::WatchOnce(const v1::WatchJobRequest& request, absl::Time deadline,
                                  const OnEvent& on_event) {
  grpc::ClientContext context;
  if (deadline != absl::InfiniteFuture()) context.set_deadline(absl::ToChronoTime(deadline));
  StopToken::Callback cancel(stop_, [&context] { context.TryCancel(); });
  auto reader = jobs_->WatchJob(&context, request);
  v1::JobEvent event;
  bool ended = false;
  while (reader->Read(&event)) {
    ended = IsFinal(event.state());
    on_event(event);
  }
  absl::Status status = ToStatus(reader->Finish());
  if (ended) return absl::OkStatus();
  return status.ok() ? CutOff() : status;
}

absl::StatusOr<v1::Job> JobClient::WatchToEnd(const std::string& job_id, int64_t after_sequence,
                                              absl::Time deadline, const OnEvent& on_event) {
  // The first contact fails as fast as any call does; only a watch that has begun waits longer.
  ASSIGN_OR_RETURN(v1::Job job, GetJob(job_id));
  v1::WatchJobRequest request;
  request.set_job_id(job_id);
  request.set_after_sequence(after_sequence);
  bool ended = IsFinal(job.state()) && after_sequence >= job.last_event();
  EventCursor cursor(after_sequence);
  while (!ended) {
    bool progress = false;
    absl::Status status = Retry(settings_.resume, deadline, [&] {
      // Returning OK after a cut stream that had brought something begins a new row of retries.
      absl::Status once = WatchOnce(request, deadline, [&](const v1::JobEvent& event) {
        progress = true;
        const bool is_new = cursor.Advance(event);
        request.set_after_sequence(cursor.sequence());
        ended = IsFinal(event.state());
        if (is_new) on_event(event);
      });
      return absl::IsUnavailable(once) && std::exchange(progress, false) ? absl::OkStatus() : once;
    });
    RETURN_IF_ERROR(status);
  }
  return GetJob(job_id);
}

absl::Status JobClient::ReadLogsOnce(const v1::ReadJobLogsRequest& request, const OnLog& on_log) {
  grpc::ClientContext context;
  StopToken::Callback cancel(stop_, [&context] { context.TryCancel(); });
  auto reader = jobs_->ReadJobLogs(&context, request);
  v1::ReadJobLogsResponse part;
  while (reader->Read(&part)) on_log(part);
  absl::Status status = ToStatus(reader->Finish());
  if (!status.ok() || !request.follow()) return status;
  ASSIGN_OR_RETURN(v1::Job job, GetJob(request.job_id()));
  return IsFinal(job.state()) ? absl::OkStatus() : CutOff();
}

absl::Status JobClient::ReadLogs(const v1::ReadJobLogsRequest& request, LogCursor& cursor,
                                 const OnLog& on_log) {
  RETURN_IF_ERROR(GetJob(request.job_id()).status());
  bool ended = false;
  while (!ended) {
    bool progress = false;
    RETURN_IF_ERROR(Retry(settings_.resume, absl::InfiniteFuture(), [&] {
      cursor.Restart();
      absl::Status once = ReadLogsOnce(request, [&](v1::ReadJobLogsResponse part) {
        if (!cursor.Advance(part)) return;
        progress = true;
        on_log(part);
      });
      ended = once.ok();
      return absl::IsUnavailable(once) && std::exchange(progress, false) ? absl::OkStatus() : once;
    }));
  }
  return absl::OkStatus();
}

}  // namespace dropbp::client
