#include "worker/agent/prepare.h"

#include <filesystem>
#include <iostream>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/base/status.h"
#include "core/base/text.h"
#include "proto/support/job_spec_proto.h"
#include "worker/data/job_data.h"
#include "worker/data/prompt.h"
#include "worker/hf/decoder_tensors.h"
#include "worker/hf/model_config.h"
#include "worker/hf/safetensors.h"

namespace dropbp::agent {
namespace {

// Whether the model has a weight of this module, such as model.layers.0.self_attn.q_proj.weight for
// q_proj.
bool HasModule(const hf::ModelTensors& model, const std::string& module) {
  const std::string suffix = "." + module + ".weight";
  for (const auto& [name, tensor] : model.tensors) {
    if (absl::EndsWith(name, suffix)) return true;
  }
  return false;
}

absl::Status CheckTargetModules(const JobSpec& spec, const hf::ModelTensors& model) {
  const bool ia3 = spec.method == "ia3";
  if (!ia3 && !TrainsLora(spec.method)) return absl::OkStatus();
  for (const std::string& module : ia3 ? spec.ia3.target_modules : spec.lora.target_modules) {
    if (module == "all-linear" || HasModule(model, module)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(ia3 ? "ia3" : "lora", ".target_modules: found '", module, "', which model ",
                     spec.model, " does not have; legal are all-linear and names such as q_proj"));
  }
  return absl::OkStatus();
}

absl::Status CheckSampleCount(const JobSpec& spec, const data::DatasetReport& report) {
  const int64_t sequences = spec.dataset.packing ? report.rows : report.samples;
  if (sequences >= spec.training.global_batch_size) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "training.global_batch_size: found ", spec.training.global_batch_size,
      ", legal is at most the number of ",
      spec.dataset.packing ? "rows that samples are packed into, " : "samples in the dataset, ",
      sequences));
}

void SetReport(const data::DatasetReport& report, v1::DatasetReport& proto) {
  proto.set_samples(report.samples);
  proto.set_tokens(report.tokens);
  proto.set_supervised_tokens(report.supervised_tokens);
  proto.set_truncated(report.truncated);
  proto.set_dropped(report.dropped);
  proto.set_duplicates(report.duplicates);
  proto.set_longest(report.longest);
  proto.set_format(report.format);
  proto.set_rows(report.rows);
  proto.set_validation_samples(report.validation_samples);
  proto.set_validation_supervised_tokens(report.validation_supervised_tokens);
}

absl::StatusOr<v1::PrepareResult> Check(const JobSpec& spec, const PrepareOptions& options) {
  v1::PrepareResult result;
  ASSIGN_OR_RETURN(const hf::ModelConfig config, hf::ReadModelConfig(options.model_dir));
  *result.mutable_model_shape() = ModelShapeToProto(config.shape);
  ASSIGN_OR_RETURN(const hf::ModelTensors model, hf::OpenModelTensors(options.model_dir));
  RETURN_IF_ERROR(hf::CheckDecoderTensors(config, model, options.model_dir));
  RETURN_IF_ERROR(CheckTargetModules(spec, model));
  ASSIGN_OR_RETURN(const data::JobData data,
                   data::LoadJobData(options.files, spec, options.model_dir));
  RETURN_IF_ERROR(CheckSampleCount(spec, data.training.report));
  RETURN_IF_ERROR(
      data::EncodeEvaluationPrompts(spec.evaluation.prompts, options.model_dir).status());
  SetReport(data.training.report, *result.mutable_dataset_report());
  return result;
}

// A message without this node's paths.
std::string ForUser(const std::string& message, const PrepareOptions& options) {
  const std::string models_dir = std::filesystem::path(options.model_dir).parent_path();
  std::vector<std::pair<std::string, std::string>> names = {{options.files.dataset, "dataset"},
                                                            {models_dir + "/", ""}};
  if (!options.files.validation.empty())
    names.emplace_back(options.files.validation, "validation file");
  for (const auto& [sha256, path] : options.files.mix)
    names.emplace_back(path, absl::StrCat("dataset.mix file ", sha256));
  return ToValidUtf8(absl::StrReplaceAll(message, names));
}

}  // namespace

v1::PrepareResult PrepareModelAndData(const v1::JobSpec& spec, const PrepareOptions& options) {
  absl::StatusOr<v1::PrepareResult> result = Check(JobSpecFromProto(spec), options);
  if (result.ok()) return *std::move(result);
  v1::PrepareResult failed;
  failed.set_error(ForUser(std::string(result.status().message()), options));
  return failed;
}

int RunPrepare(const PrepareOptions& options) {
  v1::JobSpec spec;
  if (!spec.ParseFromIstream(&std::cin)) {
    std::cerr << "dropbp-worker prepare: stdin is not a serialised dropbp.v1.JobSpec\n";
    return 2;
  }
  if (!PrepareModelAndData(spec, options).SerializeToOstream(&std::cout)) return 1;
  std::cout.flush();
  return std::cout ? 0 : 1;
}

}  // namespace dropbp::agent
