#include "worker/trainer/train/run_job.h"

#include <ATen/Parallel.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "absl/strings/str_format.h"
#include "core/job/init_from.h"
#include "worker/data/job_data.h"
#include "worker/data/prompt.h"
#include "worker/trainer/checkpoint/checkpoint_reader.h"
#include "worker/trainer/collective/process_group.h"
#include "worker/trainer/model/adapter_files.h"
#include "worker/trainer/train/failure.h"
#include "worker/trainer/train/stderr_log.h"
#include "worker/trainer/train/trainer.h"

namespace dropbp::trainer {
namespace {

// One compute pool of the assigned size; autograd and collectives bring threads of their own.
void UseDeviceAndThreads(const Assignment& assignment) {
  at::set_num_threads(std::max(1, assignment.threads));
  if (at::get_num_interop_threads() != 1) at::set_num_interop_threads(1);
  const c10::Device device(assignment.device);
  if (!device.is_cpu()) c10::impl::VirtualGuardImpl(device.type()).setDevice(device);
}

// What an earlier job trained.
absl::Status LoadBeginning(const Assignment& assignment, Decoder& model) {
  const std::string& folder = assignment.init_dir;
  const std::optional<InitFrom> from = ParseInitFrom(assignment.spec.init_from);
  if (from && !from->checkpoint.empty()) {
    RETURN_IF_ERROR(LoadCheckpointValues(folder, model.trainable()).status());
    LogLine(absl::StrFormat("begins from the checkpoint of job %s after %s steps", from->job_id,
                            from->checkpoint));
    return absl::OkStatus();
  }
  const bool full = assignment.spec.method == "full";
  RETURN_IF_ERROR(full ? LoadModelWeights(folder, model) : LoadAdapter(folder, model));
  LogLine(absl::StrFormat("begins from the result of job %s", assignment.spec.init_from));
  return absl::OkStatus();
}

// With the values that training begins from.
absl::StatusOr<std::unique_ptr<Decoder>> LoadModel(const Assignment& assignment) {
  ASSIGN_OR_RETURN(
      std::unique_ptr<Decoder> model,
      Decoder::Load(assignment.model_dir, OptionsFor(assignment.spec, assignment.device)));
  // A checkpoint replaces all of them.
  if (!assignment.init_dir.empty() && assignment.checkpoint_dir.empty())
    RETURN_IF_ERROR(LoadBeginning(assignment, *model));
  return model;
}

// Null for a single rank on CPU, which has nobody to talk to. A single rank on CUDA goes through
// NCCL all the same, so that one GPU exercises the code that many run.
absl::StatusOr<std::unique_ptr<ProcessGroup>> MeetRanks(CoordinatorLink& link) {
  const Assignment& assignment = link.assignment();
  if (assignment.world_size == 1 && assignment.device == "cpu") return nullptr;
  return MakeProcessGroup({.rank = assignment.rank,
                           .world_size = assignment.world_size,
                           .device = assignment.device,
                           .host_address = assignment.host_address},
                          link.store());
}

absl::StatusOr<std::vector<std::string>> ListFiles(const std::string& dir) {
  std::error_code error;
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(dir, error)) {
    if (entry.is_regular_file()) names.push_back(entry.path().filename());
  }
  if (error) return absl::NotFoundError(dir + ": " + error.message());
  std::sort(names.begin(), names.end());
  return names;
}

// Writes what was trained; the names of the files. Only rank 0 has any: all ranks hold the same
// weights.
absl::StatusOr<std::vector<std::string>> WriteFiles(const Assignment& assignment,
                                                    const Decoder& model) {
  if (assignment.rank != 0) return std::vector<std::string>();
  RETURN_IF_ERROR(WriteResult(assignment.output_dir, model, assignment.spec, assignment.model_dir));
  return ListFiles(assignment.output_dir);
}

// Rank 0 alone answers prompts.
absl::StatusOr<EvaluationSet> MakeEvaluationSet(const Assignment& assignment,
                                                std::vector<data::Sample> held_out) {
  EvaluationSet set;
  set.samples = std::move(held_out);
  const std::vector<std::string>& prompts = assignment.spec.evaluation.prompts;
  if (prompts.empty() || assignment.rank != 0) return set;
  ASSIGN_OR_RETURN(set.tokenizer, data::Tokenizer::Load(assignment.model_dir));
  ASSIGN_OR_RETURN(set.prompts, data::EncodeEvaluationPrompts(prompts, assignment.model_dir));
  return set;
}

absl::Status RunJobOrThrow(CoordinatorLink& link) {
  const Assignment& assignment = link.assignment();
  UseDeviceAndThreads(assignment);
  ASSIGN_OR_RETURN(data::JobData data, data::LoadJobData({.dataset = assignment.dataset_path,
                                                          .validation = assignment.validation_path,
                                                          .mix = assignment.mix_paths},
                                                         assignment.spec, assignment.model_dir));
  ASSIGN_OR_RETURN(EvaluationSet evaluation_set,
                   MakeEvaluationSet(assignment, std::move(data.held_out)));
  ASSIGN_OR_RETURN(const std::unique_ptr<Decoder> model, LoadModel(assignment));
  ASSIGN_OR_RETURN(const std::unique_ptr<ProcessGroup> group, MeetRanks(link));
  LogLine(absl::StrFormat("rank %d of %d on %s: %d samples, %d held out, %d trainable tensors",
                          assignment.rank, assignment.world_size, assignment.device,
                          data.training.samples.size(), evaluation_set.samples.size(),
                          model->trainable().size()));
  ASSIGN_OR_RETURN(
      const std::unique_ptr<Trainer> trainer,
      Trainer::Make(&link, model.get(), data.training, group.get(), std::move(evaluation_set)));
  RETURN_IF_ERROR(trainer->Run());
  ASSIGN_OR_RETURN(const std::vector<std::string> files, WriteFiles(assignment, *model));
  // Nobody leaves while a peer may still be reading from it.
  if (group != nullptr) RETURN_IF_ERROR(group->Barrier());
  return link.ReportFinished(trainer->next_step(), files, trainer->early_stop());
}

}  // namespace

absl::Status RunJob(CoordinatorLink& link) {
  const Assignment& assignment = link.assignment();
  return RunTorch(absl::StrFormat("rank %d of %d", assignment.rank, assignment.world_size),
                  [&] { return RunJobOrThrow(link); });
}

}  // namespace dropbp::trainer
