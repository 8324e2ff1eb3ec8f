#include "worker/trainer/merge/merge_model.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/files.h"
#include "worker/trainer/merge/merged_weights.h"
#include "worker/trainer/model/adapter_files.h"
#include "worker/trainer/model/decoder.h"
#include "worker/trainer/model/tensor_views.h"

namespace dropbp::trainer {
namespace {

constexpr int64_t kMaxConfigBytes = 1 << 20;

double ToleranceOf(hf::TensorType type) {
  return type == hf::TensorType::kBF16 ? 5e-2 : type == hf::TensorType::kF16 ? 1e-2 : 1e-4;
}

// What one shard holds.
using Shards = std::vector<std::vector<std::string>>;

Shards PlanShards(const MergedWeights& weights, int64_t max_bytes) {
  Shards shards(1);
  int64_t bytes = 0;
  for (const std::string& name : weights.Names()) {
    if (!shards.back().empty() && bytes + weights.Bytes(name) > max_bytes) {
      shards.emplace_back();
      bytes = 0;
    }
    shards.back().push_back(name);
    bytes += weights.Bytes(name);
  }
  return shards;
}

absl::Status WriteShard(const std::string& path, const std::vector<std::string>& names,
                        const MergedWeights& weights) {
  std::vector<at::Tensor> held;
  std::map<std::string, hf::TensorView> views;
  for (const std::string& name : names) {
    held.push_back(weights.Get(name).contiguous());
    views[name] = BorrowView(held.back());
  }
  return hf::WriteSafetensors(path, views, {{"format", "pt"}});
}

absl::Status WriteWeights(const std::string& dir, const MergedWeights& weights,
                          const Shards& shards) {
  if (shards.size() == 1) return WriteShard(dir + "/model.safetensors", shards[0], weights);
  nlohmann::json map = nlohmann::json::object();
  int64_t bytes = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string file =
        absl::StrFormat("model-%05d-of-%05d.safetensors", i + 1, shards.size());
    RETURN_IF_ERROR(WriteShard(absl::StrCat(dir, "/", file), shards[i], weights));
    for (const std::string& name : shards[i]) {
      map[name] = file;
      bytes += weights.Bytes(name);
    }
  }
  const nlohmann::json index = {{"metadata", {{"total_size", bytes}}}, {"weight_map", map}};
  return WriteFileAtomically(dir + "/model.safetensors.index.json", index.dump(2) + "\n");
}

// A head that was trained apart from the embedding is no longer tied to it.
absl::Status UntieHead(const std::string& dir) {
  const std::string path = dir + "/config.json";
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
  auto config = nlohmann::ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) return absl::InvalidArgumentError(path + ": not a JSON object");
  config["tie_word_embeddings"] = false;
  return WriteFileAtomically(path, config.dump(2) + "\n");
}

// Two sequences of 48 random tokens, the same in every run.
at::Tensor CheckTokens(int64_t vocab_size) {
  at::Generator generator = at::detail::createCPUGenerator(/*seed=*/1);
  return at::empty({2, 48}, at::kLong).random_(0, vocab_size, generator);
}

absl::StatusOr<at::Tensor> LogitsOf(const std::string& model_dir, const DecoderOptions& options,
                                    const std::string& adapter_dir) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Decoder> decoder, Decoder::Load(model_dir, options));
  if (!adapter_dir.empty()) RETURN_IF_ERROR(LoadAdapter(adapter_dir, *decoder));
  at::NoGradGuard no_grad;
  return decoder->Logits(
      decoder->Forward(CheckTokens(decoder->config().shape.vocab_size), /*keep=*/{}));
}

double RelativeNorm(const at::Tensor& difference, const at::Tensor& reference) {
  return (difference.norm() / reference.norm()).item<double>();
}

// Writes the folder without looking at what is in it.
absl::StatusOr<int64_t> Write(const MergeOptions& options, const MergedWeights& weights,
                              const std::string& dir) {
  std::error_code error;
  std::filesystem::remove_all(dir, error);
  std::filesystem::create_directories(dir, error);
  if (error)
    return absl::InternalError(absl::StrCat(dir, ": cannot create the folder: ", error.message()));
  const Shards shards = PlanShards(weights, options.max_shard_bytes);
  RETURN_IF_ERROR(WriteWeights(dir, weights, shards));
  RETURN_IF_ERROR(CopyModelFiles(options.model_dir, dir));
  if (weights.unties_head()) RETURN_IF_ERROR(UntieHead(dir));
  return static_cast<int64_t>(shards.size());
}

}  // namespace

absl::StatusOr<MergeReport> MergeModel(const MergeOptions& options) {
  if (std::filesystem::exists(options.out_dir))
    return absl::InvalidArgumentError(options.out_dir + " is there already");
  ASSIGN_OR_RETURN(
      const MergedWeights weights,
      MergedWeights::Open(options.model_dir, options.adapter_dir, options.quantized_base));
  DecoderOptions plain;
  plain.dtype = options.dtype;
  DecoderOptions with_adapter = OptionsFor(weights.adapter());
  with_adapter.dtype = options.dtype;
  if (options.quantized_base.has_value()) {
    if (with_adapter.method != "lora")
      return absl::InvalidArgumentError(options.adapter_dir +
                                        ": only LoRA adapters are trained on 4-bit weights");
    with_adapter.method = "qlora";
    with_adapter.qlora = *options.quantized_base;
  }
  ASSIGN_OR_RETURN(const at::Tensor base, LogitsOf(options.model_dir, plain, ""));
  ASSIGN_OR_RETURN(const at::Tensor adapted,
                   LogitsOf(options.model_dir, with_adapter, options.adapter_dir));
  const std::string partial = options.out_dir + ".partial";
  MergeReport report;
  ASSIGN_OR_RETURN(report.shards, Write(options, weights, partial));
  ASSIGN_OR_RETURN(const at::Tensor merged, LogitsOf(partial, plain, ""));
  report.error = RelativeNorm(merged - adapted, adapted);
  report.change = RelativeNorm(merged - base, adapted);
  report.tolerance = ToleranceOf(weights.CoarsestType());
  if (report.change == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.adapter_dir,
                     " does not change the model: it was not trained, or its "
                     "changes are lost in the rounding of the weights"));
  }
  if (!(report.error <= report.tolerance)) {
    return absl::InternalError(
        absl::StrCat(partial, ": its logits differ from those of base and adapter by ",
                     report.error, " of their norm, more than ", report.tolerance));
  }
  std::error_code error;
  std::filesystem::rename(partial, options.out_dir, error);
  if (error) {
    return absl::InternalError(
        absl::StrCat(partial, ": cannot be renamed to ", options.out_dir, ": ", error.message()));
  }
  return report;
}

}  // namespace dropbp::trainer
