// One run of a study: trains a job in this process and prints a JSON line for each step and each
// evaluation (see curve.h). For study/run_study.py.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/study/curve.h"
#include "core/base/files.h"
#include "core/job/job_fields.h"
#include "core/job/job_file.h"

namespace dropbp::bench {
namespace {

constexpr int64_t kMaxJobBytes = 1 << 20;

struct Flags {
  std::string job;
  std::vector<std::string> assignments;
  bool paced = false;
  CurveOptions curve;
};

absl::StatusOr<JobSpec> ReadJob(const Flags& flags) {
  ASSIGN_OR_RETURN(const std::string yaml, ReadFile(flags.job, kMaxJobBytes));
  ASSIGN_OR_RETURN(JobFile job, ParseJobFile(yaml, flags.job));
  for (const std::string& assignment : flags.assignments) {
    RETURN_IF_ERROR(SetJobField(assignment, job));
  }
  job.spec.resources.ranks = 1;
  ASSIGN_OR_RETURN(job.spec.dataset.artifact, Sha256HexOfFile(flags.curve.train_file));
  const std::vector<FieldViolation> violations = ValidateJobSpec(job.spec);
  if (violations.empty()) return job.spec;
  return absl::InvalidArgumentError(absl::StrCat(flags.job, ": ", DescribeViolations(violations)));
}

// When runs take turns, each waits for a line on stdin before it goes on.
bool MayGoOn(bool paced) {
  std::string line;
  return !paced || std::getline(std::cin, line);
}

absl::Status Run(Flags flags) {
  ASSIGN_OR_RETURN(flags.curve.spec, ReadJob(flags));
  ASSIGN_OR_RETURN(const std::unique_ptr<Curve> curve,
                   Curve::Make(flags.curve, [](const nlohmann::ordered_json& line) {
                     std::cout << line << std::endl;
                   }));
  while (!curve->done()) {
    if (!MayGoOn(flags.paced)) return absl::CancelledError("stdin ended before the run did");
    RETURN_IF_ERROR(curve->Advance());
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace dropbp::bench

int main(int argc, char** argv) {
  CLI::App app("Trains a job in this process and prints its loss curve as JSON lines.");
  dropbp::bench::Flags flags;
  app.add_option("--job", flags.job, "Job file")->required();
  app.add_option("--set", flags.assignments, "field=value over the job file")
      ->take_all()
      ->expected(1);
  app.add_option("--model", flags.curve.model_dir, "Model folder")->required();
  app.add_option("--train", flags.curve.train_file, "JSONL file to train on")->required();
  app.add_option("--eval", flags.curve.eval_file, "JSONL file of the validation loss")->required();
  app.add_option("--eval-every", flags.curve.eval_every, "Steps between evaluations")
      ->check(CLI::PositiveNumber);
  app.add_option("--eval-samples", flags.curve.eval_samples,
                 "The first so many of the evaluation file; 0: all")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--device", flags.curve.device);
  app.add_option("--threads", flags.curve.threads)->check(CLI::PositiveNumber);
  app.add_flag("--paced", flags.paced, "Waits for a line on stdin before each evaluation's steps");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = dropbp::bench::Run(flags);
  if (status.ok()) return 0;
  std::fprintf(stderr, "train_curve: %s\n", std::string(status.message()).c_str());
  return 1;
}
