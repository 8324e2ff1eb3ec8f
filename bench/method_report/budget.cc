#include "bench/method_report/budget.h"

#include <algorithm>
#include <memory>

#include "bench/method_report/models.h"
#include "bench/method_report/original.h"
#include "bench/method_report/sensitivities.h"
#include "bench/method_report/statistics.h"

namespace dropbp::bench {
namespace {

constexpr double kBudgetTargets[] = {0.5, 0.75, 0.875};
constexpr uint64_t kBudgetSeed = 1;

// One way to make masks, ready to draw.
struct Way {
  std::string masks;
  std::string rates;
  double planned = 0;
  StepRows rows;
};

int64_t KeptFlops(const LayerTable& table, const MaskRow& row) {
  int64_t flops = 0;
  for (size_t u = 0; u < row.size(); ++u) {
    if (row[u]) flops += table.units[u].backward_flops;
  }
  return flops;
}

// Rank r draws from a generator of its own.
template <typename Sampler>
StepRows IndependentRanks(const std::function<Sampler(uint64_t seed)>& make, int ranks) {
  auto samplers = std::make_shared<std::vector<Sampler>>();
  for (int rank = 0; rank < ranks; ++rank) {
    samplers->push_back(make(kBudgetSeed + static_cast<uint64_t>(rank)));
  }
  return [samplers](int64_t) {
    std::vector<MaskRow> rows;
    for (Sampler& sampler : *samplers) rows.push_back(sampler.Draw());
    return rows;
  };
}

absl::StatusOr<std::vector<Way>> AllWays(const LayerTable& table, double target, int ranks) {
  const std::vector<double> uniform(table.units.size(), target);
  PhiloxStream random(kBudgetSeed, 0, 0);
  ASSIGN_OR_RETURN(const std::vector<double> greedy,
                   GreedyRates(FallingSensitivities(table, random), target));
  ASSIGN_OR_RETURN(const DropPlan plan, MakeDropPlan(table, uniform, target, 1, 0));
  return std::vector<Way>{
      {"paper's text", "uniform", target, BernoulliRows(uniform, ranks)},
      {"authors' code", "uniform", target, CountingRows(uniform, target, ranks)},
      {"authors' code", "greedy", target, CountingRows(greedy, target, ranks)},
      {"ours", "uniform", plan.planned, RulerRows(plan, ranks)}};
}

absl::Status AddBudgetRows(const NamedModel& model, int64_t steps, Section& section) {
  const LayerTable table = TableOf(model, "lora");
  for (double target : kBudgetTargets) {
    ASSIGN_OR_RETURN(const std::vector<Way> ways, AllWays(table, target, 1));
    for (const Way& way : ways) {
      const KeptShare share = MeasureKeptShare(table, target, way.planned, steps, way.rows);
      section.rows.push_back({{"model", model.name},
                              {"drop_rate", target},
                              {"masks", way.masks},
                              {"rates", way.rates},
                              {"kept_over_budget", share.mean},
                              {"deviation", share.deviation},
                              {"kept_over_planned", share.mean_of_planned},
                              {"deviation_over_planned", share.deviation_of_planned},
                              {"planned_drop_rate", way.planned}});
    }
  }
  return absl::OkStatus();
}

}  // namespace

KeptShare MeasureKeptShare(const LayerTable& table, double target, double planned, int64_t steps,
                           const StepRows& rows) {
  const auto total = static_cast<double>(table.TotalBackwardFlops());
  Moments kept;
  Moments kept_of_planned;
  Moments slowest;
  for (int64_t step = 0; step < steps; ++step) {
    int64_t most = 0;
    for (const MaskRow& row : rows(step)) {
      const int64_t flops = KeptFlops(table, row);
      most = std::max(most, flops);
      kept.Add(static_cast<double>(flops) / total / (1 - target));
      kept_of_planned.Add(static_cast<double>(flops) / total / (1 - planned));
    }
    slowest.Add(static_cast<double>(most) / total / (1 - target));
  }
  return {kept.mean(), kept.deviation(), slowest.mean(), kept_of_planned.mean(),
          kept_of_planned.deviation()};
}

StepRows RulerRows(const DropPlan& plan, int ranks) {
  return [masks = MaskPlan(plan, kBudgetSeed, ranks)](int64_t step) { return masks.Draw(step); };
}

StepRows BernoulliRows(const std::vector<double>& drop_rates, int ranks) {
  return IndependentRanks<BernoulliSampler>(
      [&](uint64_t seed) { return BernoulliSampler(drop_rates, seed); }, ranks);
}

StepRows CountingRows(const std::vector<double>& drop_rates, double target, int ranks) {
  return IndependentRanks<CountingSampler>(
      [&](uint64_t seed) { return CountingSampler(drop_rates, target, seed); }, ranks);
}

absl::StatusOr<Section> BudgetSection(int64_t steps) {
  Section section{
      .key = "budget",
      .title =
          "Backward FLOPs that masks keep, over the budget (1 - drop rate): mean and standard "
          "deviation over the steps, and the same over what the plan says. LoRA, one rank.",
      .columns = {{"model", "model"},
                  {"drop_rate", "drop rate"},
                  {"masks", "masks"},
                  {"rates", "rates"},
                  {"kept_over_budget", "kept/budget", 3},
                  {"deviation", "sd", 3},
                  {"kept_over_planned", "kept/planned", 3},
                  {"deviation_over_planned", "sd", 3},
                  {"planned_drop_rate", "planned rate", 4}}};
  RETURN_IF_ERROR(AddBudgetRows(Llama2With7B(), steps, section));
  RETURN_IF_ERROR(AddBudgetRows(SmolLm2With135M(), steps, section));
  return section;
}

absl::StatusOr<Section> StragglerSection(int64_t steps) {
  Section section{.key = "straggler",
                  .title =
                      "What the slowest rank of a step computes: E[max over the ranks] of "
                      "kept backward FLOPs, over the budget. LLaMA2-7B, LoRA.",
                  .columns = {{"ranks", "ranks"},
                              {"drop_rate", "drop rate"},
                              {"masks", "masks"},
                              {"rates", "rates"},
                              {"straggler_factor", "slowest/budget", 3}}};
  const LayerTable table = TableOf(Llama2With7B(), "lora");
  for (int ranks : {8, 64}) {
    for (double target : kBudgetTargets) {
      ASSIGN_OR_RETURN(const std::vector<Way> ways, AllWays(table, target, ranks));
      for (const Way& way : ways) {
        const KeptShare share = MeasureKeptShare(table, target, way.planned, steps, way.rows);
        section.rows.push_back({{"ranks", ranks},
                                {"drop_rate", target},
                                {"masks", way.masks},
                                {"rates", way.rates},
                                {"straggler_factor", share.slowest}});
      }
    }
  }
  return section;
}

}  // namespace dropbp::bench
