#include "core/job/job_spec.h"

#include <algorithm>
#include <cmath>

namespace dropbp {
namespace {

// Shares such as 0.29 have no exact double: 0.29 * 100 must still count as 29.
constexpr double kSlack = 1e-9;

}  // namespace

bool TrainsLora(std::string_view method) { return method == "lora" || method == "qlora"; }

std::string ResolvedMasks(const JobSpec& spec) {
  if (spec.dropbp.masks != "auto") return spec.dropbp.masks;
  return spec.method == "full" ? "shared" : "balanced";
}

int64_t MicroBatchesPerStep(const JobSpec& spec) {
  return spec.training.global_batch_size / spec.training.micro_batch_size;
}

int64_t TotalSteps(const JobSpec& spec, int64_t samples) {
  if (spec.training.steps > 0) return spec.training.steps;
  const double batches = spec.training.epochs * static_cast<double>(samples) /
                         static_cast<double>(spec.training.global_batch_size);
  // Bounded before it is an integer.
  const double steps = std::min(std::ceil(batches - kSlack), static_cast<double>(kMostSteps));
  return std::max<int64_t>(1, static_cast<int64_t>(steps));
}

std::string ResolvedEstimator(const JobSpec& spec) {
  if (spec.dropbp.estimator != "by_allocation") return spec.dropbp.estimator;
  return spec.dropbp.allocation == "depth" ? "own" : "paper";
}

bool NeedsSensitivities(const JobSpec& spec) {
  return spec.dropbp.drop_rate > 0 && spec.dropbp.allocation != "uniform" &&
         spec.dropbp.allocation != "depth";
}

int64_t ProbeStep(const JobSpec& spec, int64_t total_steps) {
  if (!NeedsSensitivities(spec)) return -1;
  return static_cast<int64_t>(
      std::floor(spec.dropbp.probe_at * static_cast<double>(total_steps) + kSlack));
}

}  // namespace dropbp
