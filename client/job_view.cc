#include "client/job_view.h"

#include <cmath>
#include <map>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/format.h"
#include "client/progress.h"
#include "client/table.h"
#include "core/base/format_bytes.h"
#include "core/job/job_file.h"
#include "proto/support/job_spec_proto.h"

namespace dropbp::client {
namespace {

// "1.2 (of 2.4, 50.0% saved)".
std::string Saved(const std::string& done, const std::string& all, double saved_share) {
  return absl::StrCat(done, " of ", all, " (", FormatPercent(saved_share), " saved)");
}

void AddIdentity(const v1::Job& job, Properties& table) {
  table.Add("job", job.job_id());
  table.Add("state", Cell(StateName(job.state()), StateColour(job.state())));
  if (!job.state_message().empty()) table.Add("why", job.state_message());
  if (job.queue_position() > 0) table.Add("place in queue", absl::StrCat(job.queue_position()));
  table.Add("model", job.spec().model());
  table.Add("method", absl::AsciiStrToLower(v1::JobSpec::Method_Name(job.spec().method())));
  table.Add("created", FormatTime(job.create_time()));
  if (job.has_start_time()) {
    const std::string attempt =
        job.attempt() > 1 ? absl::StrCat(" (attempt ", job.attempt(), ")") : "";
    table.Add("started", FormatTime(job.start_time()) + attempt);
  }
  if (job.has_end_time()) table.Add("ended", FormatTime(job.end_time()));
  if (job.attempt() > 0) {
    table.Add("attempt", absl::StrFormat("%d (%d of %d restarts used)", job.attempt(),
                                         job.restarts(), job.spec().max_restarts()));
  }
  if (!job.workers().empty()) table.Add("workers", absl::StrJoin(job.workers(), ", "));
}

void AddProgress(const v1::JobProgress& progress, Properties& table) {
  if (progress.total_steps() == 0) return;
  table.Add("progress", ProgressText(progress));
  if (progress.step() == 0) return;
  table.Add("tokens", FormatCount(static_cast<double>(progress.tokens())));
  const double all_flops = progress.backward_flops_done() + progress.backward_flops_saved();
  if (all_flops > 0) {
    table.Add("backward FLOPs",
              Saved(FormatCount(progress.backward_flops_done()), FormatCount(all_flops),
                    progress.backward_flops_saved() / all_flops));
  }
  const double sent = static_cast<double>(progress.gradient_bytes_sent());
  const double dense = static_cast<double>(progress.gradient_bytes_dense());
  if (dense > 0) {
    table.Add("all-reduce", Saved(FormatBytes(progress.gradient_bytes_sent()),
                                  FormatBytes(progress.gradient_bytes_dense()), 1 - sent / dense));
  }
}

std::string LossText(const v1::Evaluation& evaluation) {
  return absl::StrFormat("loss %s, perplexity %.4g, after step %d", FormatLoss(evaluation.loss()),
                         std::exp(evaluation.loss()), evaluation.step());
}

void AddEvaluation(const v1::JobProgress& progress, Properties& table) {
  const v1::Evaluation& newest = progress.evaluation();
  if (newest.supervised_tokens() == 0) return;
  table.Add("validation", LossText(newest));
  if (progress.best_evaluation().step() == newest.step()) return;
  if (progress.has_best_evaluation()) table.Add("best", LossText(progress.best_evaluation()));
}

std::string DropRates(const v1::DropPlan& plan) {
  return absl::StrFormat(
      "asked %s, planned %s (plan %d, %s, %s masks)", FormatPercent(plan.target_drop_rate()),
      FormatPercent(plan.planned_drop_rate()), plan.version(), plan.allocation(), plan.masks());
}

// Files whose names are known.
void AddFiles(const v1::Job& job, Properties& table) {
  const v1::DatasetSpec& data = job.spec().dataset();
  const auto add = [&](const char* label, const std::string& sha256, const std::string& more) {
    const auto name = job.file_names().find(sha256);
    if (name != job.file_names().end()) table.Add(label, absl::StrCat(name->second, more));
  };
  add("data file", data.artifact(), "");
  const std::map<std::string, double> mix(data.mix().begin(), data.mix().end());
  for (const auto& [sha256, weight] : mix) add("mixed in", sha256, absl::StrCat(" x ", weight));
  add("validation file", data.validation_artifact(), "");
}

void AddReport(const v1::DatasetReport& report, Properties& table) {
  table.Add("data", absl::StrFormat("%d samples (%s), %s tokens, %s supervised, longest %d",
                                    report.samples(), report.format(),
                                    FormatCount(static_cast<double>(report.tokens())),
                                    FormatCount(static_cast<double>(report.supervised_tokens())),
                                    report.longest()));
  if (report.rows() > 0) {
    table.Add("packing", absl::StrFormat("%d rows, %.1f samples each", report.rows(),
                                         static_cast<double>(report.samples()) /
                                             static_cast<double>(report.rows())));
  }
  if (report.validation_samples() > 0) {
    table.Add(
        "held out",
        absl::StrFormat("%d samples, %s supervised tokens", report.validation_samples(),
                        FormatCount(static_cast<double>(report.validation_supervised_tokens()))));
  }
  if (report.truncated() > 0) table.Add("truncated", absl::StrCat(report.truncated(), " samples"));
  if (report.dropped() > 0)
    table.Add("left out", absl::StrCat(report.dropped(), " samples, too long"));
  if (report.duplicates() > 0)
    table.Add("duplicates", absl::StrCat(report.duplicates(), " samples left out"));
}

}  // namespace

void PrintJob(const v1::Job& job, const std::vector<std::string>& last_lines, const Sink& sink) {
  Properties table;
  AddIdentity(job, table);
  AddProgress(job.progress(), table);
  AddEvaluation(job.progress(), table);
  if (job.has_checkpoint()) {
    table.Add("checkpoint", absl::StrFormat("after step %d, %s, %s", job.checkpoint().step(),
                                            FormatTime(job.checkpoint().create_time()),
                                            FormatBytes(job.checkpoint().size_bytes())));
  }
  if (job.has_plan()) table.Add("drop rate", DropRates(job.plan()));
  AddFiles(job, table);
  if (job.has_dataset_report()) AddReport(job.dataset_report(), table);
  for (const v1::Artifact& artifact : job.artifacts()) {
    table.Add("artifact", absl::StrCat(artifact.name(), "  ", FormatBytes(artifact.size_bytes())));
  }
  for (size_t i = 0; i < last_lines.size(); ++i) {
    table.Add(i == 0 ? "last lines" : "", last_lines[i]);
  }
  table.Print(sink);
}

std::string JobFileOf(const v1::Job& job) {
  std::string text = absl::StrCat("# Job ", job.job_id(), ", without what has its default.\n");
  const std::map<std::string, std::string> names(job.file_names().begin(), job.file_names().end());
  for (const auto& [sha256, name] : names)
    absl::StrAppend(&text, "# ", sha256, " is ", name, ".\n");
  return text + FormatJobFile(JobSpecFromProto(job.spec()));
}

void PrintJobs(const std::vector<v1::Job>& jobs, absl::Time now, const Sink& sink) {
  Table table({{"JOB"},
               {"STATE"},
               {"STEP", Align::kRight},
               {"LOSS", Align::kRight},
               {"DROP", Align::kRight},
               {"AGE", Align::kRight},
               {"MODEL"}});
  for (const v1::Job& job : jobs) {
    const v1::JobProgress& progress = job.progress();
    const bool planned = progress.total_steps() > 0;
    const bool begun = progress.step() > 0;
    table.Add({job.job_id(), Cell(StateName(job.state()), StateColour(job.state())),
               planned ? absl::StrCat(progress.step(), "/", progress.total_steps()) : "-",
               begun ? FormatLoss(progress.loss()) : "-",
               FormatPercent(job.spec().dropbp().drop_rate()),
               FormatSeconds(now - FromProto(job.create_time())), job.spec().model()});
  }
  table.Print(sink);
}

}  // namespace dropbp::client
