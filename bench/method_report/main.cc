// Measures everything that docs/method.md claims of the method, in one run: a Markdown table on
// stdout for each section and, with --json, the same as JSON.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "bench/method_report/allocation.h"
#include "bench/method_report/budget.h"
#include "bench/method_report/masks.h"
#include "bench/method_report/report.h"
#include "bench/method_report/resume.h"
#include "bench/method_report/sensitivity.h"
#include "bench/method_report/stacking.h"
#include "bench/method_report/trace.h"
#include "bench/method_report/traffic.h"
#include "core/base/files.h"
#include "core/base/status.h"

namespace dropbp::bench {
namespace {

struct Flags {
  std::string json;
  int64_t steps = 20'000;
  int64_t instances = 1000;
  bool stacking = false;
  ProbeOptions probe;
};

// Prints each section as soon as it is there.
class Report {
 public:
  absl::Status Add(absl::StatusOr<Section> section) {
    RETURN_IF_ERROR(section.status());
    std::printf("%s\n", ToMarkdown(*section).c_str());
    std::fflush(stdout);
    sections_.push_back(*std::move(section));
    return absl::OkStatus();
  }

  absl::Status Write(const std::string& path) const {
    return WriteFileAtomically(path, ToJson(sections_).dump(1) + "\n");
  }

 private:
  std::vector<Section> sections_;
};

absl::Status Run(const Flags& flags) {
  Report report;
  if (flags.stacking) return report.Add(StackingSection(flags.probe));
  MeasuredSensitivities measured;
  if (!flags.probe.model_dir.empty()) {
    ASSIGN_OR_RETURN(measured, MeasureSensitivities(flags.probe));
  }
  RETURN_IF_ERROR(report.Add(BudgetSection(flags.steps)));
  RETURN_IF_ERROR(report.Add(AllocationSection(flags.instances, measured.name, measured.instance)));
  RETURN_IF_ERROR(report.Add(AllocationTimeSection()));
  RETURN_IF_ERROR(report.Add(StragglerSection(flags.steps)));
  RETURN_IF_ERROR(report.Add(MaskSection(10 * flags.steps)));
  RETURN_IF_ERROR(report.Add(TrafficSection(flags.steps)));
  RETURN_IF_ERROR(report.Add(ResumeSection()));
  if (!flags.probe.model_dir.empty()) {
    RETURN_IF_ERROR(report.Add(measured.section));
    RETURN_IF_ERROR(report.Add(TraceSection(flags.probe)));
  }
  return flags.json.empty() ? absl::OkStatus() : report.Write(flags.json);
}

}  // namespace
}  // namespace dropbp::bench

int main(int argc, char** argv) {
  CLI::App app(
      "Measures the method: budget, allocation, stragglers, masks, traffic, resume, sensitivity.");
  dropbp::bench::Flags flags;
  app.add_option("--json", flags.json, "File that the report is written to as JSON");
  app.add_option("--steps", flags.steps, "Simulated optimizer steps")->check(CLI::PositiveNumber);
  app.add_option("--instances", flags.instances, "Drawn allocation problems of each kind")
      ->check(CLI::PositiveNumber);
  CLI::Option* model = app.add_option("--model", flags.probe.model_dir,
                                      "Model folder: measures the sensitivity probe on it as well");
  app.add_option("--data", flags.probe.data, "JSONL file with the probe's samples")->needs(model);
  model->needs("--data");
  app.add_option("--method", flags.probe.method)->check(CLI::IsMember({"lora", "full"}));
  app.add_option("--dtype", flags.probe.dtype)->check(CLI::IsMember({"fp32", "bf16"}));
  app.add_option("--threads", flags.probe.threads, "Threads of one rank's probe");
  app.add_option("--probe-samples", flags.probe.samples, "Sequences in the probe batch");
  app.add_option("--probe-length", flags.probe.max_length, "Most tokens of a sequence");
  app.add_option("--rounds", flags.probe.rounds, "Interleaved rounds of the probe's measurement");
  app.add_flag(
      "--stacking", flags.stacking,
      "Only this: would the probe gain by walking backward with several cotangents at once?");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = dropbp::bench::Run(flags);
  if (status.ok()) return 0;
  std::fprintf(stderr, "method_report: %s\n", std::string(status.message()).c_str());
  return 1;
}
