#include "worker/trainer/model/weights.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "worker/hf/safetensors.h"
#include "worker/trainer/model/tensor_views.h"

namespace dropbp::trainer {
namespace {

class FileWeights : public WeightSource {
 public:
  FileWeights(std::string model_dir, hf::ModelTensors tensors)
      : model_dir_(std::move(model_dir)), tensors_(std::move(tensors)) {}

  absl::Status CopyTo(const std::string& name, const at::Tensor& target) override {
    const auto found = tensors_.tensors.find(name);
    if (found == tensors_.tensors.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(model_dir_, ": the weights lack the tensor ", name));
    }
    const hf::TensorView& view = found->second;
    const auto type = FloatingType(view.type);
    if (!type.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat(model_dir_, ": ", name,
                       " is of no floating-point type; F32, F16 and BF16 are supported"));
    }
    if (target.sizes() != at::IntArrayRef(view.shape)) {
      return absl::InvalidArgumentError(
          absl::StrCat(model_dir_, ": ", name, " has the shape [", absl::StrJoin(view.shape, ", "),
                       "], but config.json asks for [", absl::StrJoin(target.sizes(), ", "), "]"));
    }
    target.copy_(BorrowTensor(view));
    used_.insert(name);
    return absl::OkStatus();
  }

  absl::Status CheckAllUsed() const override {
    for (const auto& [name, view] : tensors_.tensors) {
      // Old exports carry the rotary frequencies, which config.json determines; a tied head repeats
      // the embedding.
      if (used_.contains(name) || absl::EndsWith(name, "rotary_emb.inv_freq") ||
          name == "lm_head.weight")
        continue;
      return absl::InvalidArgumentError(
          absl::StrCat(model_dir_, ": the weights hold ", name,
                       ", which the architecture in config.json has no place for"));
    }
    return absl::OkStatus();
  }

 private:
  std::string model_dir_;
  hf::ModelTensors tensors_;
  std::set<std::string> used_;
};

class RandomSource : public WeightSource {
 public:
  RandomSource(uint64_t seed, double norm_weight) : seed_(seed), norm_weight_(norm_weight) {}

  absl::Status CopyTo(const std::string& name, const at::Tensor& target) override {
    if (absl::EndsWith(name, "norm.weight")) {
      at::Tensor(target).fill_(norm_weight_);
    } else if (target.is_cpu()) {
      // In fp32, so that every dtype gets the same weights but for rounding.
      at::Generator generator = at::detail::createCPUGenerator(seed_++);
      target.copy_(at::empty(target.sizes(), at::kFloat).normal_(0, 0.02, generator));
    } else {
      at::Tensor(target).normal_(0, 0.02);
    }
    return absl::OkStatus();
  }
  absl::Status CheckAllUsed() const override { return absl::OkStatus(); }

 private:
  uint64_t seed_;
  double norm_weight_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<WeightSource>> OpenWeights(const std::string& model_dir) {
  ASSIGN_OR_RETURN(hf::ModelTensors tensors, hf::OpenModelTensors(model_dir));
  return std::make_unique<FileWeights>(model_dir, std::move(tensors));
}

std::unique_ptr<WeightSource> RandomWeights(uint64_t seed, double norm_weight) {
  return std::make_unique<RandomSource>(seed, norm_weight);
}

}  // namespace dropbp::trainer
