#include "client/follow.h"

#include <algorithm>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "client/errors.h"
#include "client/format.h"

namespace dropbp::client {
namespace {

// A job's message in one line: the event that ended it has shown it all.
std::string InOneLine(const v1::Job& job) {
  const std::string& message = job.state_message();
  const auto more = std::count(message.begin(), message.end(), '\n');
  const std::string first = message.substr(0, message.find('\n'));
  if (more == 0) return first;
  return absl::StrCat(first, " (", more, " more line", more == 1 ? "" : "s", ": dropbp get ",
                      job.job_id(), ")");
}

void SayEnd(const Session& session, const v1::Job& job) {
  std::string text = absl::StrCat("Job ", job.job_id(), " ", StateName(job.state()));
  if (job.has_start_time() && job.has_end_time()) {
    absl::StrAppend(&text, " after ",
                    FormatSeconds(FromProto(job.end_time()) - FromProto(job.start_time())),
                    " of training");
    if (job.attempt() > 1) absl::StrAppend(&text, " in attempt ", job.attempt());
  }
  if (!job.state_message().empty()) absl::StrAppend(&text, ": ", InOneLine(job));
  session.Say(text);
  if (job.state() == v1::Job::SUCCEEDED)
    session.SuggestNext(absl::StrCat("dropbp download ", job.job_id()));
  // Before the first attempt there is no trainer that could have written something.
  if (job.state() == v1::Job::FAILED && job.attempt() > 0)
    session.SuggestNext(absl::StrCat("dropbp logs ", job.job_id()));
}

void SayLeft(const Session& session, const std::string& job_id) {
  session.Say(absl::StrCat("Left; job ", job_id, " goes on."));
  session.SuggestNext(absl::StrCat("dropbp watch ", job_id, "  or  dropbp cancel ", job_id));
}

}  // namespace

std::unique_ptr<WatchView> MakeView(const Sink& sink, bool json) {
  if (json) return MakeJsonView(sink);
  return sink.terminal ? MakeBarView(sink) : MakeLineView(sink, SystemClock());
}

absl::StatusOr<ExitCode> Follow(Session& session, JobClient& client, const std::string& job_id,
                                int64_t after_sequence, absl::Time deadline, WatchView& view) {
  InterruptGuard interrupts(session.stop());
  session.OnTalk([&view] { view.Finish(); });
  const absl::Cleanup no_more_view = [&session] { session.OnTalk([] {}); };
  absl::StatusOr<v1::Job> job = client.WatchToEnd(
      job_id, after_sequence, deadline, [&](const v1::JobEvent& event) { view.Show(event); });
  view.Finish();
  if (job.ok()) {
    SayEnd(session, *job);
    return ExitCodeOfEnd(job->state());
  }
  if (session.stop().Requested()) {
    SayLeft(session, job_id);
    return ExitCode::kInterrupted;
  }
  if (absl::IsDeadlineExceeded(job.status())) {
    return WithNextStep(absl::DeadlineExceededError(
                            absl::StrCat("job ", job_id, " had not ended in time; it goes on")),
                        absl::StrCat("dropbp watch ", job_id));
  }
  return job.status();
}

}  // namespace dropbp::client
