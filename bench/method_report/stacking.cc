#include "bench/method_report/stacking.h"

#include <ATen/ATen.h>

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/method_report/models.h"
#include "bench/method_report/statistics.h"
#include "worker/trainer/model/decoder.h"
#include "worker/trainer/train/failure.h"

namespace dropbp::bench {
namespace {

using trainer::BackwardWalk;
using trainer::Decoder;

constexpr int kLayers = 2;
// Of the upper layer: an input's gradient is needed there.
constexpr int kAttention = 2;
constexpr int kMlp = 3;
constexpr int kStackingRounds = 15;

absl::StatusOr<std::unique_ptr<Decoder>> MakeModel(const ProbeOptions& options) {
  hf::ModelConfig config;
  config.dtype = "bfloat16";
  config.shape = SmolLm2With135M().shape;
  config.shape.layers = kLayers;
  config.rms_norm_eps = 1e-5;
  config.ropes[0].theta = 100000;
  return Decoder::Random(
      config, {.dtype = options.dtype, .device = "cpu", .method = options.method, .seed = 1});
}

std::unique_ptr<BackwardWalk> WalkOf(Decoder& model, const at::Tensor& ids) {
  at::Tensor targets = at::full_like(ids, -100);
  targets.narrow(1, 0, 1).fill_(1);
  return model.Walk(ids, targets, 1);
}

// Passes cotangents, each [tokens, hidden] or several stacked, through units; a walk for each size.
class Passes {
 public:
  Passes(Decoder& model, int64_t tokens, int64_t count) : model_(model) {
    const at::Tensor ids = at::randint(0, model.config().shape.vocab_size, {1, tokens}, at::kLong);
    single_ = WalkOf(model, ids);
    stacked_ = WalkOf(model, ids.repeat({count, 1}));
    BackwardWalk::Gradients gradients(model.trainable().size());
    const at::Tensor top = single_->Top(gradients);
    all_ = at::randn({count * tokens, top.size(1)}).to(top.scalar_type());
    for (const at::Tensor& one : all_.split(tokens)) cotangents_.push_back(one);
  }

  at::Tensor OneByOne(int unit) {
    std::vector<at::Tensor> inputs;
    for (const at::Tensor& cotangent : cotangents_) {
      BackwardWalk::Gradients gradients(model_.trainable().size());
      inputs.push_back(single_->Through(unit, cotangent, gradients));
    }
    return at::cat(inputs);
  }

  at::Tensor Stacked(int unit) {
    BackwardWalk::Gradients gradients(model_.trainable().size());
    return stacked_->Through(unit, all_, gradients);
  }

 private:
  Decoder& model_;
  std::unique_ptr<BackwardWalk> single_;
  std::unique_ptr<BackwardWalk> stacked_;
  at::Tensor all_;
  std::vector<at::Tensor> cotangents_;
};

nlohmann::ordered_json Measure(Passes& passes, int64_t count, const std::string& name,
                               const std::vector<int>& units) {
  std::vector<double> one_by_one;
  std::vector<double> stacked;
  double difference = 0;
  for (int round = 0; round < kStackingRounds; ++round) {
    double first = 0;
    double second = 0;
    for (const int unit : units) {
      at::Tensor a;
      at::Tensor b;
      first += SecondsOf([&] { a = passes.OneByOne(unit); });
      second += SecondsOf([&] { b = passes.Stacked(unit); });
      const at::Tensor off = (a - b).abs().max() / a.abs().max();
      difference = std::max(difference, off.item<double>());
    }
    one_by_one.push_back(first);
    stacked.push_back(second);
  }
  return {{"cotangents", count},
          {"unit", name},
          {"one_by_one_ms", 1e3 * Median(one_by_one)},
          {"stacked_ms", 1e3 * Median(stacked)},
          {"gain", Median(one_by_one) / Median(stacked)},
          {"largest_difference", difference}};
}

absl::Status AddRows(const ProbeOptions& options, Section& section) {
  at::set_num_threads(options.threads);
  at::manual_seed(1);
  ASSIGN_OR_RETURN(const std::unique_ptr<Decoder> model, MakeModel(options));
  for (const int64_t count : {2, 8, 30}) {
    Passes passes(*model, options.max_length, count);
    section.rows.push_back(Measure(passes, count, "attention", {kAttention}));
    section.rows.push_back(Measure(passes, count, "mlp", {kMlp}));
    section.rows.push_back(Measure(passes, count, "both", {kMlp, kAttention}));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Section> StackingSection(const ProbeOptions& options) {
  Section section{
      .key = "stacking",
      .heading = "Stacked cotangents in the sensitivity probe",
      .title = absl::StrCat(
          "Backward through one layer of SmolLM2-135M's sizes, ", options.method, ", ",
          options.dtype, ", ", options.threads, options.threads == 1 ? " thread" : " threads",
          ", one sequence of ", options.max_length, " tokens, medians of ", kStackingRounds,
          " interleaved rounds: cotangents one by one and stacked into one batch. Difference is "
          "the largest one of an input's cotangent over the largest cotangent."),
      .columns = {{"cotangents", "cotangents"},
                  {"unit", "unit"},
                  {"one_by_one_ms", "one by one, ms", 1},
                  {"stacked_ms", "stacked, ms", 1},
                  {"gain", "gain", 2},
                  {"largest_difference", "difference"}}};
  RETURN_IF_ERROR(trainer::RunTorch("stacking", [&] { return AddRows(options, section); }));
  return section;
}

}  // namespace dropbp::bench
