// The fast exact measure: Note [Suffixes] in probe.h.
#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <memory>

#include "worker/trainer/train/probe.h"
#include "worker/trainer/train/probe_parts.h"

namespace dropbp::trainer {
namespace {

using Gradients = BackwardWalk::Gradients;

// One micro-batch: its recorded forward pass, and the cotangents that its full backward pass met.
struct WalkedBatch {
  std::unique_ptr<BackwardWalk> walk;
  Gradients top;                        // of head and final norm
  std::map<int, at::Tensor> cotangent;  // of a unit's output, for the units asked for
};

class SuffixMeasure {
 public:
  SuffixMeasure(Decoder& model, const StepBatch& batch, absl::Span<const int> units)
      : model_(model), batch_(batch), units_(units) {}

  ProbeNorms Run() {
    WalkAll();
    for (int unit : units_) norms_.dropped.push_back(NormsWithout(unit));
    return std::move(norms_);
  }

 private:
  int all_units() const { return static_cast<int>(2 * model_.config().shape.layers); }
  size_t tensors() const { return model_.trainable().size(); }

  // The pass with nothing dropped.
  void WalkAll() {
    const auto count = static_cast<double>(std::max<int64_t>(1, batch_.supervised_tokens));
    Gradients sums(tensors());
    for (const MicroBatch& micro : batch_.micro_batches) {
      WalkedBatch& walked = batches_.emplace_back();
      walked.walk = model_.Walk(micro.tokens(), micro.targets, count);
      norms_.unit_forwards += all_units();
      walked.top.resize(tensors());
      at::Tensor cotangent = walked.walk->Top(walked.top);
      Gradients gradients = walked.top;
      for (int unit = all_units() - 1; unit >= 0; --unit) {
        if (std::count(units_.begin(), units_.end(), unit) > 0) walked.cotangent[unit] = cotangent;
        cotangent = Through(walked, unit, cotangent, gradients);
      }
      if (cotangent.defined()) walked.walk->Bottom(cotangent, gradients);
      Accumulate(gradients, sums);
    }
    norms_.base = Norms(sums);
  }

  // Gradients below `dropped`, summed over the micro-batches, whose units above count as before.
  std::vector<double> NormsWithout(int dropped) {
    Gradients sums(tensors());
    for (WalkedBatch& walked : batches_) {
      Gradients gradients = walked.top;
      at::Tensor cotangent = walked.cotangent.at(dropped);
      for (int unit = dropped - 1; unit >= 0; --unit) {
        cotangent = Through(walked, unit, cotangent, gradients);
      }
      if (cotangent.defined()) walked.walk->Bottom(cotangent, gradients);
      Accumulate(gradients, sums);
    }
    std::vector<double> norms = Norms(sums);
    for (size_t i = 0; i < norms.size(); ++i) {
      if (model_.trainable()[i].unit > dropped) norms[i] = norms_.base[i];
    }
    return norms;
  }

  at::Tensor Through(WalkedBatch& walked, int unit, const at::Tensor& cotangent,
                     Gradients& gradients) {
    ++norms_.unit_backwards;
    return walked.walk->Through(unit, cotangent, gradients);
  }

  Decoder& model_;
  const StepBatch& batch_;
  absl::Span<const int> units_;
  std::vector<WalkedBatch> batches_;
  ProbeNorms norms_;
};

}  // namespace

ProbeNorms MeasureBySuffixes(Decoder& model, const StepBatch& batch, absl::Span<const int> units) {
  const DropoutPause pause(model);
  return SuffixMeasure(model, batch, units).Run();
}

}  // namespace dropbp::trainer
