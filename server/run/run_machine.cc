#include "server/run/run_machine.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "core/base/text.h"
#include "server/run/progress.h"
#include "server/run/proto_time.h"

namespace dropbp::server {
namespace {

// Nothing is saved of a job that is cancelled, but its trainers end between two steps.
constexpr absl::Duration kCancelGrace = absl::Seconds(5);
// Ranks of a broken gang hang in collectives: no use to wait for them.
constexpr absl::Duration kBrokenGangGrace = absl::Seconds(1);

// Ranks that have not met yet have nothing to save.
constexpr absl::Duration kNoWorkGrace = absl::Seconds(5);

// Without its files: the job carries it.
v1::Checkpoint Summary(v1::Checkpoint checkpoint) {
  checkpoint.clear_manifest();
  checkpoint.clear_parts();
  checkpoint.clear_progress();
  return checkpoint;
}

std::string AfterSteps(int64_t steps) {
  return absl::StrCat("after ", steps, steps == 1 ? " step" : " steps");
}

// Events are kept for ever: they have the beginnings of answers, the job's progress has the newest
// whole.
void ShortenSamples(v1::Evaluation& evaluation) {
  constexpr size_t kMostBytes = 200;
  for (v1::SampleText& sample : *evaluation.mutable_samples()) {
    sample.set_prompt(Shortened(sample.prompt(), kMostBytes));
    sample.set_text(Shortened(sample.text(), kMostBytes));
  }
}

// " in 40 rows" where samples are packed.
std::string InRows(const v1::DatasetReport& report) {
  return report.rows() > 0 ? absl::StrCat(" in ", report.rows(), " rows") : "";
}

std::string DescribeEvaluation(const v1::JobProgress& progress) {
  const v1::Evaluation& evaluation = progress.evaluation();
  const v1::Evaluation& best = progress.best_evaluation();
  if (evaluation.supervised_tokens() == 0) {
    return absl::StrCat("Answered ", evaluation.samples_size(),
                        evaluation.samples_size() == 1 ? " prompt " : " prompts ",
                        AfterSteps(evaluation.step()), ".");
  }
  const std::string loss = absl::StrFormat("Evaluated %s: validation loss %.4f, perplexity %.4g",
                                           AfterSteps(evaluation.step()), evaluation.loss(),
                                           std::exp(evaluation.loss()));
  if (best.step() == evaluation.step()) return absl::StrCat(loss, ", the least so far.");
  if (best.step() == 0) return absl::StrCat(loss, ".");
  return absl::StrFormat("%s; the least, %.4f, was %s.", loss, best.loss(),
                         AfterSteps(best.step()));
}

// Under a sentence, each on a line of its own.
std::string LastLines(const std::vector<std::string>& lines) {
  return lines.empty() ? "" : absl::StrCat("\nIts last lines:\n", absl::StrJoin(lines, "\n"));
}

// Why a gang cannot go on.
struct Breakage {
  std::string why;           // one line
  std::string details = "";  // more lines, for the job's history
  bool charged = true;
  absl::Duration grace = kBrokenGangGrace;
  bool save = false;  // the gang is whole and can save a checkpoint first
};

// Builds the reaction to one event.
class Reactor {
 public:
  Reactor(const Run& run, absl::Time now) : now_(now) { out_.next = run; }

  void operator()(const PreparationStarted& event) {
    Move(JobState::kPreparing,
         absl::StrCat("Worker '", event.worker_id, "' checks the model and the data."));
  }
  void operator()(const PreparationSucceeded& event);
  // Workers know files by their content only.
  void operator()(const PreparationFailed& event) {
    const std::map<std::string, std::string> names(job().file_names().begin(),
                                                   job().file_names().end());
    Fail(absl::StrReplaceAll(event.error, names));
  }
  void operator()(const Requeued& event) { Move(JobState::kQueued, event.why); }
  void operator()(const Placed& event);
  void operator()(const GangReady&) {
    if (state() == JobState::kStarting) Move(JobState::kRunning, "All ranks have met; training.");
  }
  void operator()(const PlanChanged& event);
  void operator()(const Evaluated& event);
  void operator()(const CheckpointPartStored& event) {
    out_.change.checkpoint_part = CheckpointPartOf{.rank = event.rank, .part = event.part};
    out_.changed = true;
  }
  void operator()(const CheckpointCompleted& event);
  void operator()(const CheckpointFailed& event) { AddEvent(v1::JobEvent::INCIDENT, event.why); }
  void operator()(const RankFinished& event);
  void operator()(const RankExited& event);
  void operator()(const RankFailed& event);
  void operator()(const RanksLost& event);
  void operator()(const WorkerDrains& event) {
    ConcludeSearch();  // a broken gang saves nothing
    if (!out_.next.Active()) return;
    const bool save = state() == JobState::kRunning;
    Break({.why = event.why, .charged = false, .grace = event.grace, .save = save});
  }
  void operator()(const TimePassed&) {
    if (cause_search().TimeIsUp(now_)) ConcludeSearch();
  }
  void operator()(const Stalled& event) { Break({.why = event.why}); }
  void operator()(const RendezvousLost&) {
    Break({.why = "The coordinator restarted while the ranks were meeting.", .charged = false});
  }
  void operator()(const PromiseBroken& event) { Fail(event.what); }
  void operator()(const CancelRequested&);
  void operator()(const PauseRequested&);
  void operator()(const ResumeRequested&) {
    if (state() == JobState::kPaused) Move(JobState::kQueued, "Resumed on request.");
  }

  Reaction Finish();

 private:
  JobState state() const { return out_.next.state(); }
  v1::Job& job() { return out_.next.job; }
  CauseSearch& cause_search() { return out_.next.cause_search; }

  v1::JobEvent& AddEvent(v1::JobEvent::Type type, std::string message);
  void Move(JobState to, std::string message);
  void End(JobState to, std::string message);
  void Fail(const std::string& message);
  // Whether the newest checkpoint has the least validation loss.
  void MarkBest();
  std::string HowItFinished(const v1::TrainerFinished& finished);
  // The gang cannot go on: restart it, or give up if its crashes used up the budget.
  void Break(const Breakage& breakage);
  // Ends the search for the cause, if there is one: it is what the ranks said that gave up.
  void ConcludeSearch();
  void GoOnFrom(const v1::Checkpoint& checkpoint);
  void Pause();
  void MarkGone(int rank);
  // What had to wait for the last process of the gang.
  void AfterRanksGone();

  const absl::Time now_;
  Reaction out_;
};

v1::JobEvent& Reactor::AddEvent(v1::JobEvent::Type type, std::string message) {
  v1::JobEvent& event = out_.change.events.emplace_back();
  event.set_type(type);
  event.set_message(std::move(message));
  event.set_state(job().state());
  *event.mutable_time() = ToProto(now_);
  out_.changed = true;
  return event;
}

void Reactor::Move(JobState to, std::string message) {
  job().set_state(static_cast<v1::Job::State>(to));
  job().set_state_message(message);
  AddEvent(v1::JobEvent::STATE_CHANGED, std::move(message));
}

void Reactor::End(JobState to, std::string message) {
  *job().mutable_end_time() = ToProto(now_);
  job().mutable_progress()->clear_eta();
  Move(to, std::move(message));
  *out_.change.events.back().mutable_progress() = job().progress();
  out_.next.ranks.clear();
}

void Reactor::Fail(const std::string& message) {
  out_.stop = StopGang{.reason = message, .grace = kBrokenGangGrace};
  End(JobState::kFailed, message);
}

void Reactor::Break(const Breakage& breakage) {
  AddEvent(v1::JobEvent::INCIDENT, absl::StrCat(breakage.why, breakage.details));
  // Else the gang is being stopped already; what else broke is worth knowing.
  if (!out_.next.Active()) return;
  if (breakage.charged && job().restarts() >= out_.next.spec.max_restarts) {
    Fail(absl::StrCat("Gave up after ", job().restarts(),
                      job().restarts() == 1 ? " restart" : " restarts",
                      " (max_restarts = ", out_.next.spec.max_restarts, "): ", breakage.why));
    return;
  }
  if (breakage.charged) job().set_restarts(job().restarts() + 1);
  out_.stop =
      StopGang{.reason = breakage.why, .grace = breakage.grace, .save_checkpoint = breakage.save};
  Move(JobState::kRestarting,
       absl::StrCat("Restarting (", job().restarts(), " of ", out_.next.spec.max_restarts,
                    " charged): ", breakage.why));
}

void Reactor::ConcludeSearch() {
  if (cause_search().open()) Break({.why = cause_search().first_word()});
}

void Reactor::MarkGone(int rank) {
  out_.next.ranks[static_cast<size_t>(rank)].gone = true;
  out_.changed = true;
}

void Reactor::AfterRanksGone() {
  if (!out_.next.GangGone()) return;
  if (state() == JobState::kCancelling) End(JobState::kCancelled, "Cancelled on request.");
  if (state() == JobState::kRestarting || state() == JobState::kPausing) {
    out_.next.ranks.clear();
    job().clear_workers();
  }
  if (state() == JobState::kPausing) Pause();
}

void Reactor::MarkBest() {
  if (!job().has_checkpoint()) return;
  job().mutable_checkpoint()->set_best(job().checkpoint().step() ==
                                       job().progress().best_evaluation().step());
}

void Reactor::Pause() {
  Move(JobState::kPaused,
       job().has_checkpoint()
           ? absl::StrCat("Paused on request; goes on from the checkpoint ",
                          AfterSteps(job().checkpoint().step()), " when it is resumed.")
           : "Paused on request; begins at the first step when it is resumed.");
}

void Reactor::operator()(const PreparationSucceeded& event) {
  *job().mutable_dataset_report() = event.report;
  *job().mutable_plan() = event.plan;
  job().mutable_progress()->set_total_steps(event.total_steps);
  out_.next.shape = event.shape;
  out_.change.shape = event.shape;
  AddEvent(v1::JobEvent::PLAN_CHANGED,
           absl::StrCat("The data is checked: ", event.report.samples(), " samples",
                        InRows(event.report), ", ", event.report.supervised_tokens(), " of ",
                        event.report.tokens(), " tokens carry loss; ", event.total_steps,
                        " steps. Planned drop rate: ", event.plan.planned_drop_rate(), "."));
}

void Reactor::operator()(const Placed& event) {
  job().set_attempt(job().attempt() + 1);
  job().clear_workers();
  for (const Placement& rank : event.ranks) job().add_workers(rank.worker_id);
  job().clear_start_time();
  *job().mutable_plan() = event.plan;
  const int64_t total_steps = job().progress().total_steps();
  job().clear_progress();
  job().clear_checkpoint();
  out_.next.ranks = event.ranks;
  out_.change.resume_step = 0;
  if (event.checkpoint) GoOnFrom(*event.checkpoint);
  job().mutable_progress()->set_total_steps(total_steps);
  std::vector<std::string> workers(job().workers().begin(), job().workers().end());
  workers.erase(std::unique(workers.begin(), workers.end()), workers.end());
  Move(JobState::kStarting,
       absl::StrCat("Attempt ", job().attempt(), ": ", event.ranks.size(),
                    event.ranks.size() == 1 ? " rank" : " ranks", " on ",
                    absl::StrJoin(workers, ", "),
                    event.checkpoint ? absl::StrCat("; goes on from the checkpoint ",
                                                    AfterSteps(event.checkpoint->step()))
                                     : "",
                    "."));
}

void Reactor::GoOnFrom(const v1::Checkpoint& checkpoint) {
  *job().mutable_checkpoint() = Summary(checkpoint);
  *job().mutable_progress() = checkpoint.progress();
  MarkBest();
  for (Placement& rank : out_.next.ranks) rank.last_step = checkpoint.step() - 1;
  out_.change.resume_step = checkpoint.step();
}

void Reactor::operator()(const CheckpointCompleted& event) {
  *job().mutable_checkpoint() = Summary(event.checkpoint);
  out_.change.checkpoint = event.checkpoint;
  out_.change.checkpoints_kept = out_.next.spec.checkpoint.keep;
  out_.change.best_step = job().progress().best_evaluation().step();
  MarkBest();
  AddEvent(v1::JobEvent::CHECKPOINT,
           absl::StrCat("Checkpoint ", AfterSteps(event.checkpoint.step()), ": ",
                        event.checkpoint.parts_size(),
                        event.checkpoint.parts_size() == 1 ? " part, " : " parts, ",
                        event.checkpoint.size_bytes(), " bytes."));
}

void Reactor::operator()(const PlanChanged& event) {
  out_.change.sensitivities = event.sensitivities;
  out_.changed = true;
  *job().mutable_plan() = event.plan;
  AddEvent(v1::JobEvent::PLAN_CHANGED, event.message);
}

void Reactor::operator()(const Evaluated& event) {
  *job().mutable_progress() = event.progress;
  out_.change.evaluation = event.progress.evaluation();
  MarkBest();
  AddEvent(v1::JobEvent::EVALUATION, DescribeEvaluation(event.progress));
  *out_.change.events.back().mutable_progress() = event.progress;
  ShortenSamples(*out_.change.events.back().mutable_progress()->mutable_evaluation());
}

void Reactor::operator()(const RankFinished& event) {
  if (state() == JobState::kRestarting) return;  // too late: another rank is lost
  std::vector<Placement>& ranks = out_.next.ranks;
  ranks[static_cast<size_t>(event.rank)].finished = true;
  out_.changed = true;
  if (event.rank == 0) *job().mutable_artifacts() = event.finished.artifacts();
  if (!std::all_of(ranks.begin(), ranks.end(), [](const auto& rank) { return rank.finished; })) {
    return;
  }
  End(JobState::kSucceeded, HowItFinished(event.finished));
}

std::string Reactor::HowItFinished(const v1::TrainerFinished& finished) {
  std::string how = finished.early_stop().empty()
                        ? absl::StrCat("Finished ", AfterSteps(finished.steps()), ".")
                        : absl::StrCat("Stopped early ", AfterSteps(finished.steps()), ": ",
                                       finished.early_stop(), ".");
  const int64_t best = job().progress().best_evaluation().step();
  if (out_.next.spec.evaluation.result == "best" && best > 0 && best < finished.steps()) {
    absl::StrAppend(&how, " The result is that ", AfterSteps(best),
                    ", with the least validation loss.");
  }
  return how;
}

void Reactor::operator()(const RankExited& event) {
  const Placement& rank = out_.next.ranks[static_cast<size_t>(event.rank)];
  if (rank.gone) return;
  const bool expected =
      rank.finished || cause_search().HasGivenUp(event.rank) || !out_.next.Active();
  MarkGone(event.rank);
  if (!expected) {
    // Ended by its agent, unasked: the node goes away, which is no fault of the job.
    Break({.why = absl::StrCat("Rank ", event.rank, " ", event.how),
           .details = LastLines(event.last_lines),
           .charged = !event.by_agent});
  }
  AfterRanksGone();
}

void Reactor::operator()(const RankFailed& event) {
  const std::string message = absl::StrCat("Rank ", event.rank, ": ", event.failure.message());
  if (!out_.next.Active()) return;
  if (event.failure.kind() == v1::TrainerFailure::USER_ERROR ||
      event.failure.kind() == v1::TrainerFailure::INTERNAL) {
    return Fail(message);
  }
  cause_search().AddWord(event.rank, message, now_);
  out_.changed = true;
  if (cause_search().HeardOfAll(out_.next.ranks)) ConcludeSearch();
}

void Reactor::operator()(const RanksLost& event) {
  bool unfinished = false;
  for (int rank : event.ranks) {
    const Placement& lost = out_.next.ranks[static_cast<size_t>(rank)];
    if (lost.gone) continue;
    unfinished |= !lost.finished;
    MarkGone(rank);
  }
  if (unfinished && out_.next.Active()) Break({.why = event.why, .charged = false});
  AfterRanksGone();
}

void Reactor::operator()(const CancelRequested&) {
  if (state() == JobState::kCancelling) return;
  out_.stop = StopGang{.reason = "The job was cancelled.", .grace = kCancelGrace};
  Move(JobState::kCancelling, "Cancelling on request.");
  AfterRanksGone();
}

void Reactor::operator()(const PauseRequested&) {
  ConcludeSearch();  // a broken gang saves nothing
  if (IsTerminal(state())) return;
  if (state() == JobState::kPausing || state() == JobState::kPaused) return;
  if (out_.next.ranks.empty()) return Pause();
  if (out_.next.Active()) {
    const bool save = state() == JobState::kRunning;
    out_.stop = StopGang{.reason = "The job is being paused.",
                         .grace = save ? kPauseGrace : kNoWorkGrace,
                         .save_checkpoint = save};
  }
  Move(JobState::kPausing, "Pausing on request.");
  AfterRanksGone();
}

Reaction Reactor::Finish() {
  if (!out_.next.Active()) cause_search() = {};
  out_.change.job = job();
  out_.change.placements = out_.next.ranks;
  return std::move(out_);
}

}  // namespace

bool Run::Active() const { return state() == JobState::kStarting || state() == JobState::kRunning; }

bool Run::GangGone() const {
  return std::all_of(ranks.begin(), ranks.end(), [](const Placement& rank) { return rank.gone; });
}

EvaluationSchedule Run::Evaluations() const {
  return {spec.evaluation, job.progress().total_steps(), job.dataset_report().validation_samples()};
}

bool Run::StoppedEarly() const {
  const v1::JobProgress& progress = job.progress();
  return Evaluations().EndsJob(progress.evaluation().step(), BestOf(progress));
}

Reaction React(const Run& run, const RunEvent& event, absl::Time now) {
  Reactor reactor(run, now);
  std::visit(reactor, event);
  return reactor.Finish();
}

}  // namespace dropbp::server
