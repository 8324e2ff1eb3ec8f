#include "tests/support/test_data.h"

#include <stdlib.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/files.h"
#include "tests/support/child_process.h"

namespace dropbp::testing {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kMakeModelTimeout = absl::Minutes(3);

// In a folder of its own that is renamed into place, so that tests that run at the same time do not
// see half a model.
absl::Status MakeTinyModel(const fs::path& folder) {
  const fs::path unfinished = absl::StrCat(folder.string(), ".", getpid());
  const std::string log = absl::StrCat(unfinished.string(), ".log");
  fs::create_directories(folder.parent_path());
  ASSIGN_OR_RETURN(
      auto python,
      ChildProcess::Start({.arguments = {RequiredEnvironment("DROPBP_ORACLES") + "/bin/python",
                                         RequiredEnvironment("DROPBP_SOURCE_DIR") +
                                             "/tests/support/make_tiny_model.py",
                                         unfinished.string()},
                           .output_path = log}));
  ASSIGN_OR_RETURN(const ProcessEnd end, python->WaitForEnd(kMakeModelTimeout));
  if (end.exit_code != 0) {
    return absl::InternalError(
        absl::StrCat("make_tiny_model.py: ", ReadFile(log, 1 << 20).value_or("no output")));
  }
  std::error_code error;
  fs::rename(unfinished, folder, error);
  fs::remove(log, error);
  fs::remove_all(unfinished, error);  // another test was faster
  return absl::OkStatus();
}

}  // namespace

std::string RequiredEnvironment(const char* name) {
  const char* value = getenv(name);
  if (value == nullptr)
    CheckFailed(__FILE__, __LINE__, absl::StrCat(name, " is not set; run tests through ctest"));
  return value;
}

std::string TrainerProgram() {
  const char* given = getenv("DROPBP_TRAINER");
  const std::string program =
      given != nullptr ? given : RequiredEnvironment("DROPBP_BIN_DIR") + "/dropbp-trainer";
  return fs::exists(program) ? program : "";
}

absl::StatusOr<std::string> TinyModel() {
  const fs::path folder = fs::path(RequiredEnvironment("DROPBP_MODELS")) / "tiny";
  if (!fs::exists(folder / "config.json")) RETURN_IF_ERROR(MakeTinyModel(folder));
  return folder.string();
}

JobSpec TinyJob() {
  JobSpec spec;
  spec.model = "tiny";
  spec.dtype = "fp32";
  spec.dataset.max_length = 64;
  spec.lora.rank = 4;
  spec.lora.alpha = 8;
  spec.training.steps = 20;
  spec.training.global_batch_size = 8;
  spec.training.micro_batch_size = 2;
  spec.training.learning_rate = 1e-3;
  spec.dropbp.drop_rate = 0.5;
  spec.dropbp.allocation = "quadratic";
  spec.dropbp.probe_samples = 2;
  spec.resources.ranks = 2;
  spec.resources.device = "cpu";
  return spec;
}

std::string TinyDataset(int samples) {
  std::string lines;
  for (int i = 0; i < samples; ++i) {
    absl::StrAppend(&lines, "{\"prompt\": \"What is ", i, " plus ", i % 7,
                    "?\", \"completion\": \"It is ", i + i % 7, ".\"}\n");
  }
  return lines;
}

}  // namespace dropbp::testing
