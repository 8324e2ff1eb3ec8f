#include <c10/util/Exception.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "worker/trainer/generate/evaluate.h"
#include "worker/trainer/generate/model_flags.h"
#include "worker/trainer/generate/verbs.h"

namespace dropbp::trainer {
namespace {

struct EvaluateFlags {
  ModelFlags model;
  EvaluateOptions options;
  std::vector<std::string> fields;
  int64_t show = 0;
  std::string output = "text";
};

void PrintText(const Evaluation& evaluation, int64_t show) {
  for (int64_t i = 0; i < show; ++i) {
    const EvaluatedRecord& record = evaluation.records[i];
    std::printf("--- record %lld: %s\nprompt:\n%s\nexpected: %s\nanswer:   %s\n",
                static_cast<long long>(i + 1), record.match ? "match" : "no match",
                record.prompt.c_str(), record.expected.c_str(), record.answer.c_str());
  }
  std::printf("records      %zu\nexact match  %.4f (%lld)\nmean loss    %.4f (%lld tokens)\n",
              evaluation.records.size(), evaluation.ExactMatch(),
              static_cast<long long>(evaluation.matches), evaluation.mean_loss,
              static_cast<long long>(evaluation.supervised_tokens));
}

void PrintJson(const Evaluation& evaluation, int64_t show) {
  nlohmann::json samples = nlohmann::json::array();
  for (int64_t i = 0; i < show; ++i) {
    const EvaluatedRecord& record = evaluation.records[i];
    samples.push_back({{"prompt", record.prompt},
                       {"expected", record.expected},
                       {"answer", record.answer},
                       {"match", record.match}});
  }
  const nlohmann::json result = {{"records", evaluation.records.size()},
                                 {"matches", evaluation.matches},
                                 {"exact_match", evaluation.ExactMatch()},
                                 {"mean_loss", evaluation.mean_loss},
                                 {"supervised_tokens", evaluation.supervised_tokens},
                                 {"samples", samples}};
  std::printf("%s\n", result.dump().c_str());
}

absl::Status Run(EvaluateFlags& flags) {
  ASSIGN_OR_RETURN(flags.options.fields, FieldNames(flags.fields));
  ASSIGN_OR_RETURN(const LoadedModel loaded, LoadModel(flags.model));
  const bool terminal = isatty(STDERR_FILENO) == 1;
  const auto progress = [terminal](int64_t done, int64_t all) {
    if (!terminal) return;
    std::fprintf(stderr, "\ranswered %lld of %lld%s", static_cast<long long>(done),
                 static_cast<long long>(all), done == all ? "\n" : "");
  };
  ASSIGN_OR_RETURN(const Evaluation evaluation, Evaluate(loaded, flags.options, progress));
  const int64_t show =
      std::min<int64_t>(flags.show, static_cast<int64_t>(evaluation.records.size()));
  flags.output == "json" ? PrintJson(evaluation, show) : PrintText(evaluation, show);
  return absl::OkStatus();
}

}  // namespace

int RunEvaluate(int argc, char** argv) {
  CLI::App app("Answer every record of a data file and compare with the expected answers.",
               "dropbp-trainer evaluate");
  EvaluateFlags flags;
  AddModelFlags(app, flags.model);
  app.add_option("--data", flags.options.data_path,
                 "JSONL, JSON, CSV or Parquet file, in one of the formats of a job's dataset")
      ->required();
  app.add_option("--fields", flags.fields,
                 "KEY=NAME, as the job's dataset.fields: prompt=question completion=answer");
  app.add_option("--samples", flags.options.samples, "Records from the beginning; 0: all")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--batch", flags.options.batch, "Records answered at once")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--max-tokens", flags.options.max_tokens, "Longest answer")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--show", flags.show, "Records to print")->check(CLI::NonNegativeNumber);
  app.add_option("--output", flags.output, "text or json")->check(CLI::IsMember({"text", "json"}));
  CLI11_PARSE(app, argc, argv);
  flags.options.model_dir = flags.model.model_dir;
  absl::Status status;
  try {
    status = Run(flags);
  } catch (const c10::Error& error) {
    status = absl::InternalError(error.what_without_backtrace());
  }
  if (status.ok()) return 0;
  std::fprintf(stderr, "dropbp-trainer evaluate: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace dropbp::trainer
