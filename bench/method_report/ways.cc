#include "bench/method_report/ways.h"

#include <memory>
#include <utility>

#include "bench/method_report/original.h"
#include "bench/method_report/sensitivities.h"
#include "core/plan/plan_stages.h"

namespace dropbp::bench {
namespace {

constexpr uint64_t kWaySeed = 1;
constexpr int kRowsOfLora = 8;  // as dropbp.mask_groups chooses for a micro-batch of 8

// Rank r draws from a generator of its own.
template <typename Sampler>
StepRows IndependentRanks(const std::function<Sampler(uint64_t seed)>& make, int ranks) {
  auto samplers = std::make_shared<std::vector<Sampler>>();
  for (int rank = 0; rank < ranks; ++rank) {
    samplers->push_back(make(kWaySeed + static_cast<uint64_t>(rank)));
  }
  return [samplers](int64_t) {
    std::vector<MaskRow> rows;
    for (Sampler& sampler : *samplers) rows.push_back(sampler.Draw());
    return rows;
  };
}

absl::StatusOr<Way> OurWay(const LayerTable& table, const MaskedJob& job,
                           absl::Span<const double> sensitivities) {
  ASSIGN_OR_RETURN(MaskPlan masks, MasksOf(table, job, sensitivities));
  const double planned = masks.plan().planned;
  return Way{"ours", job.allocation, planned, job.rows, OurRows(std::move(masks))};
}

}  // namespace

absl::StatusOr<MaskPlan> MasksOf(const LayerTable& table, const MaskedJob& job,
                                 absl::Span<const double> sensitivities) {
  JobSpec spec;
  spec.resources.ranks = job.ranks;
  spec.training.global_batch_size = int64_t{job.ranks} * job.rows;
  spec.training.micro_batch_size = job.shared ? 1 : job.rows;
  spec.dropbp.masks = job.shared ? "shared" : "balanced";
  spec.dropbp.mask_groups = job.shared ? 1 : job.rows;
  spec.dropbp.allocation = job.allocation;
  ASSIGN_OR_RETURN(DropPlan plan,
                   MakeStagePlan(table, spec, {.target = job.target}, sensitivities));
  return MaskPlan(std::move(plan), kWaySeed, MaskRows(spec));
}

StepRows OurRows(MaskPlan masks) {
  return [masks = std::move(masks)](int64_t step) { return masks.Draw(step); };
}

StepRows BernoulliRows(const std::vector<double>& drop_rates, int ranks) {
  return IndependentRanks<BernoulliSampler>(
      [&](uint64_t seed) { return BernoulliSampler(drop_rates, seed); }, ranks);
}

StepRows CountingRows(const std::vector<double>& drop_rates, double target, int ranks) {
  return IndependentRanks<CountingSampler>(
      [&](uint64_t seed) { return CountingSampler(drop_rates, target, seed); }, ranks);
}

absl::StatusOr<std::vector<Way>> AllWays(const LayerTable& table, double target, int ranks) {
  const std::vector<double> uniform(table.units.size(), target);
  PhiloxStream random(kWaySeed, 0, 0);
  const std::vector<double> sensitivities = FallingSensitivities(table, random);
  ASSIGN_OR_RETURN(const std::vector<double> greedy, GreedyRates(sensitivities, target));
  std::vector<Way> ways = {
      {"paper's text", "uniform", target, 1, BernoulliRows(uniform, ranks)},
      {"authors' code", "uniform", target, 1, CountingRows(uniform, target, ranks)},
      {"authors' code", "greedy", target, 1, CountingRows(greedy, target, ranks)}};
  const MaskedJob uniform_job{.allocation = "uniform", .target = target, .ranks = ranks};
  const MaskedJob quadratic{.allocation = "quadratic", .target = target, .ranks = ranks};
  const MaskedJob depth{
      .allocation = "depth", .target = target, .ranks = ranks, .rows = kRowsOfLora};
  for (const MaskedJob& job : {uniform_job, quadratic, depth}) {
    ASSIGN_OR_RETURN(Way way, OurWay(table, job, sensitivities));
    ways.push_back(std::move(way));
  }
  return ways;
}

}  // namespace dropbp::bench
