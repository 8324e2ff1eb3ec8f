#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/files.h"
#include "core/job/job_file.h"
#include "core/job/mix_files.h"
#include "worker/data/job_data.h"
#include "worker/trainer/inspect/preview.h"
#include "worker/trainer/inspect/verbs.h"

namespace dropbp::trainer {
namespace {

struct PreviewFlags {
  std::string job_file;
  std::string data;
  std::string model;
  size_t samples = 3;
  std::string colour = "auto";
};

bool IsColoured(const std::string& colour) {
  if (colour != "auto") return colour == "always";
  const char* refused = std::getenv("NO_COLOR");
  return (refused == nullptr || *refused == '\0') && isatty(STDOUT_FILENO) == 1;
}

// The data file that is named on the command line or, relative to the job file, in it.
absl::StatusOr<std::string> DataPath(const PreviewFlags& flags, const JobFile& job) {
  if (!flags.data.empty()) return flags.data;
  if (!job.dataset_file.empty())
    return (std::filesystem::path(flags.job_file).parent_path() / job.dataset_file).string();
  return absl::InvalidArgumentError(absl::StrCat(
      flags.job_file, ": dataset.file: found nothing; give the data with --data FILE"));
}

// The folder that is named on the command line, or that of the job's model where a worker on this
// machine would have it.
absl::StatusOr<std::string> ModelFolder(const PreviewFlags& flags, const std::string& model) {
  namespace fs = std::filesystem;
  if (!flags.model.empty()) return flags.model;
  std::vector<fs::path> tried;
  if (const char* models = std::getenv("DROPBP_MODELS"); models != nullptr && *models != '\0')
    tried.push_back(fs::path(models) / model);
  tried.push_back(fs::path("models") / model);
  tried.push_back(model);
  for (const fs::path& folder : tried) {
    if (fs::is_directory(folder)) return folder.string();
  }
  return absl::NotFoundError(absl::StrCat(
      "model: no folder of '", model, "'; tried ",
      absl::StrJoin(
          tried, ", ",
          [](std::string* out, const fs::path& folder) { absl::StrAppend(out, folder.string()); }),
      "; name it with --model DIR, or the folder of all models with DROPBP_MODELS"));
}

absl::Status Preview(const PreviewFlags& flags) {
  ASSIGN_OR_RETURN(const std::string yaml, ReadFile(flags.job_file, 1 << 20));
  ASSIGN_OR_RETURN(JobFile job, ParseJobFile(yaml, flags.job_file));
  ASSIGN_OR_RETURN(const std::string path, DataPath(flags, job));
  ASSIGN_OR_RETURN(const std::string model, ModelFolder(flags, job.spec.model));
  ASSIGN_OR_RETURN(const auto tokenizer, data::Tokenizer::Load(model));
  ASSIGN_OR_RETURN(const auto mix, ResolveMixFiles(flags.job_file, job));
  std::map<std::string, std::string> mix_paths;
  for (const auto& [sha256, file] : mix) mix_paths[sha256] = file.path;
  ASSIGN_OR_RETURN(
      const data::JobData data,
      data::LoadJobData({.dataset = path, .validation = "", .mix = mix_paths}, job.spec, model));
  const data::TokenizedDataset& dataset = data.training;
  const bool coloured = IsColoured(flags.colour);
  const size_t shown = std::min(flags.samples, dataset.samples.size());
  for (size_t i = 0; i < shown; ++i)
    std::cout << PreviewSample(dataset.samples[i], *tokenizer, coloured) << '\n';
  std::cout << PreviewReport(dataset.report) << std::flush;
  return std::cout ? absl::OkStatus() : absl::UnavailableError("cannot write to stdout");
}

}  // namespace

int RunPreview(int argc, char** argv) {
  CLI::App app("Show what the loss sees of a job's data, token by token.",
               "dropbp-trainer preview");
  PreviewFlags flags;
  app.add_option("-f,--file", flags.job_file, "Job file")->required();
  app.add_option("--data", flags.data, "Data file (default: dataset.file of the job file)");
  app.add_option("--model", flags.model,
                 "Hugging Face model folder (default: the job's model in $DROPBP_MODELS, in "
                 "./models or here)");
  app.add_option("--samples", flags.samples, "How many samples to show")->capture_default_str();
  app.add_option("--color", flags.colour, "auto: on a terminal, unless NO_COLOR is set")
      ->check(CLI::IsMember({"auto", "always", "never"}));
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = Preview(flags);
  if (status.ok()) return 0;
  std::fprintf(stderr, "dropbp-trainer preview: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace dropbp::trainer
