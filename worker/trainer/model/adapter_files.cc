#include "worker/trainer/model/adapter_files.h"

#include <ATen/ATen.h>

#include <filesystem>
#include <map>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/files.h"
#include "worker/hf/safetensors.h"
#include "worker/trainer/model/tensor_views.h"

namespace dropbp::trainer {
namespace {

constexpr const char* kAdapterFile = "adapter_model.safetensors";
constexpr const char* kModelFile = "model.safetensors";
constexpr int64_t kMaxConfigBytes = 1 << 20;
constexpr int64_t kMaxCopiedBytes = 64 << 20;

// What transformers needs beside the weights, as far as the base model has it.
constexpr const char* kCopiedFiles[] = {"generation_config.json",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "vocab.json",
                                        "merges.txt",
                                        "chat_template.jinja",
                                        "config.json"};

absl::Status MakeFolder(const std::string& dir) {
  std::error_code error;
  std::filesystem::create_directories(dir, error);
  if (error)
    return absl::InternalError(absl::StrCat(dir, ": cannot create the folder: ", error.message()));
  return absl::OkStatus();
}

absl::Status WriteTrainable(const std::string& path, const Decoder& decoder, at::ScalarType dtype) {
  std::vector<at::Tensor> held;
  std::map<std::string, hf::TensorView> views;
  for (const TrainableParameter& parameter : decoder.trainable()) {
    held.push_back(parameter.value.detach().to(at::kCPU, dtype).contiguous());
    views[parameter.name] = BorrowView(held.back());
  }
  return hf::WriteSafetensors(path, views, {{"format", "pt"}});
}

absl::Status CheckTensor(const std::string& path,
                         const std::map<std::string, hf::TensorView>& tensors,
                         const TrainableParameter& parameter) {
  const auto found = tensors.find(parameter.name);
  if (found == tensors.end()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": the file lacks ", parameter.name));
  }
  if (!FloatingType(found->second.type).has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", parameter.name,
                     " is of no floating-point type; F32, F16 and BF16 are supported"));
  }
  if (parameter.value.sizes() != at::IntArrayRef(found->second.shape)) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": ", parameter.name, " has the shape [", absl::StrJoin(found->second.shape, ", "),
        "], the model needs [", absl::StrJoin(parameter.value.sizes(), ", "), "]"));
  }
  return absl::OkStatus();
}

absl::Status CheckNothingElse(const std::string& path,
                              const std::map<std::string, hf::TensorView>& tensors,
                              const Decoder& decoder) {
  std::map<std::string, hf::TensorView> rest = tensors;
  for (const TrainableParameter& parameter : decoder.trainable()) rest.erase(parameter.name);
  if (rest.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(path, ": the file holds ", rest.begin()->first,
                                                 ", which the model has no place for"));
}

}  // namespace

absl::Status WriteAdapter(const std::string& dir, const Decoder& decoder,
                          const AdapterSpec& adapter, const std::string& base_model_name) {
  RETURN_IF_ERROR(MakeFolder(dir));
  RETURN_IF_ERROR(WriteTrainable(dir + "/" + kAdapterFile, decoder, at::kFloat));
  return WriteFileAtomically(dir + "/adapter_config.json",
                             FormatAdapterConfig(adapter, base_model_name, decoder.config().shape));
}

absl::StatusOr<AdapterSpec> ReadAdapterConfig(const std::string& dir) {
  const std::string path = dir + "/adapter_config.json";
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
  return ParseAdapterConfig(text, path);
}

namespace {

absl::Status LoadTrainable(const std::string& path, Decoder& decoder) {
  ASSIGN_OR_RETURN(const std::shared_ptr<const hf::SafetensorsFile> file,
                   hf::SafetensorsFile::Open(path));
  for (const TrainableParameter& parameter : decoder.trainable()) {
    RETURN_IF_ERROR(CheckTensor(path, file->tensors(), parameter));
  }
  RETURN_IF_ERROR(CheckNothingElse(path, file->tensors(), decoder));
  at::NoGradGuard no_grad;
  for (const TrainableParameter& parameter : decoder.trainable()) {
    at::Tensor(parameter.value).copy_(BorrowTensor(file->tensors().at(parameter.name)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status LoadAdapter(const std::string& dir, Decoder& decoder) {
  return LoadTrainable(dir + "/" + kAdapterFile, decoder);
}

absl::Status LoadModelWeights(const std::string& dir, Decoder& decoder) {
  return LoadTrainable(dir + "/" + kModelFile, decoder);
}

absl::Status WriteModel(const std::string& dir, const Decoder& decoder,
                        const std::string& base_model_dir) {
  RETURN_IF_ERROR(MakeFolder(dir));
  const std::string& named = decoder.config().dtype;
  const at::ScalarType dtype = named == "bfloat16"  ? at::kBFloat16
                               : named == "float16" ? at::kHalf
                                                    : at::kFloat;
  RETURN_IF_ERROR(WriteTrainable(dir + "/" + kModelFile, decoder, dtype));
  return CopyModelFiles(base_model_dir, dir);
}

absl::Status CopyModelFiles(const std::string& from_dir, const std::string& to_dir) {
  for (const char* name : kCopiedFiles) {
    const std::string from = absl::StrCat(from_dir, "/", name);
    if (!std::filesystem::exists(from)) continue;
    ASSIGN_OR_RETURN(const std::string content, ReadFile(from, kMaxCopiedBytes));
    RETURN_IF_ERROR(WriteFileAtomically(absl::StrCat(to_dir, "/", name), content));
  }
  return absl::OkStatus();
}

absl::Status WriteResult(const std::string& dir, const Decoder& decoder, const JobSpec& spec,
                         const std::string& base_model_dir) {
  if (spec.method == "full") return WriteModel(dir, decoder, base_model_dir);
  return WriteAdapter(dir, decoder, AdapterOf(spec), spec.model);
}

}  // namespace dropbp::trainer
