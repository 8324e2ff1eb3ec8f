#include "worker/agent/preparer.h"

#include <spdlog/spdlog.h>

#include <csignal>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/text.h"
#include "worker/agent/child.h"
#include "worker/agent/models.h"

namespace dropbp::agent {
namespace {

constexpr absl::Duration kTimeout = absl::Hours(1);

// A check that may pass later or elsewhere.
bool IsRetryable(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDataLoss(status) || absl::IsAborted(status) ||
         absl::IsDeadlineExceeded(status) || absl::IsInternal(status) || absl::IsUnknown(status);
}

// The child did not answer: how it ended says why.
absl::Status ExplainEnd(const ChildResult& child) {
  const std::string said(absl::StripSuffix(child.diagnostics, "\n"));
  const std::string what = absl::StrCat("the check of model and data ended with ",
                                        Describe(child.exit), said.empty() ? "" : ": ", said);
  // SIGKILL comes from outside: out of memory, most likely. Other signals come from what it read.
  if (child.exit.signal == SIGKILL) {
    return absl::AbortedError(what + "; was the worker's machine out of memory?");
  }
  return absl::FailedPreconditionError(
      what + "; a file of the model or the data set is broken in a way that was not foreseen");
}

}  // namespace

Preparer::Preparer(const AgentOptions& options, std::string program, Spawner& spawner,
                   DatasetCache& datasets, const CheckpointCache& checkpoints, SendFrame send)
    : options_(options),
      program_(std::move(program)),
      spawner_(spawner),
      datasets_(datasets),
      checkpoints_(checkpoints),
      send_(std::move(send)) {}

void Preparer::Prepare(const v1::PrepareJob& job) {
  {
    absl::MutexLock lock(&mutex_);
    if (!running_.insert(job.job_id()).second) return;
  }
  checks_.Run([this, job] {
    v1::SessionRequest frame;
    *frame.mutable_prepare_result() = Check(job);
    {
      absl::MutexLock lock(&mutex_);
      running_.erase(job.job_id());
    }
    if (!stopping_.cancelled()) send_(std::move(frame));
  });
}

v1::PrepareResult Preparer::Check(const v1::PrepareJob& job) {
  absl::StatusOr<v1::PrepareResult> result = RunCheck(job);
  v1::PrepareResult answer;
  if (result.ok()) {
    answer = *std::move(result);
  } else {
    spdlog::warn("{}: {}", job.job_id(), result.status().ToString());
    answer.set_error(ToValidUtf8(StdView(result.status().message())));
    answer.set_retryable(IsRetryable(result.status()));
  }
  answer.set_job_id(job.job_id());
  return answer;
}

absl::StatusOr<v1::PrepareResult> Preparer::RunCheck(const v1::PrepareJob& job) {
  ASSIGN_OR_RETURN(const std::string model_dir, FindModel(options_.models_dir, job.spec().model()));
  const v1::DatasetSpec& data = job.spec().dataset();
  ASSIGN_OR_RETURN(const std::string dataset, datasets_.Fetch(data.artifact(), stopping_));
  std::vector<std::string> arguments = {program_,  "prepare",   "--model-dir",
                                        model_dir, "--dataset", dataset};
  if (!data.validation_artifact().empty()) {
    ASSIGN_OR_RETURN(const std::string validation,
                     datasets_.Fetch(data.validation_artifact(), stopping_));
    arguments.insert(arguments.end(), {"--validation", validation});
  }
  for (const auto& [sha256, weight] : data.mix()) {
    ASSIGN_OR_RETURN(const std::string path, datasets_.Fetch(sha256, stopping_));
    arguments.insert(arguments.end(), {"--mix", path});
  }
  if (!job.init_files().empty()) {
    RETURN_IF_ERROR(checkpoints_.FetchInit(job.job_id(), job.init_files(), stopping_).status());
  }
  ASSIGN_OR_RETURN(
      const ChildResult child,
      RunChild(spawner_, arguments, job.spec().SerializeAsString(), kTimeout, stopping_));
  v1::PrepareResult result;
  if (child.exit.exit_code == 0 && result.ParseFromString(child.output)) return result;
  return ExplainEnd(child);
}

}  // namespace dropbp::agent
