#include "bench/method_report/budget.h"

#include <algorithm>

#include "bench/method_report/models.h"
#include "bench/method_report/statistics.h"
#include "core/base/check.h"

namespace dropbp::bench {
namespace {

constexpr double kBudgetTargets[] = {0.5, 0.75, 0.875};
int64_t KeptFlops(const LayerTable& table, const MaskRow& row) {
  int64_t flops = 0;
  for (size_t u = 0; u < row.size(); ++u) {
    if (row[u]) flops += table.units[u].backward_flops;
  }
  return flops;
}

absl::Status AddBudgetRows(const NamedModel& model, int64_t steps, Section& section) {
  const LayerTable table = TableOf(model, "lora");
  for (double target : kBudgetTargets) {
    ASSIGN_OR_RETURN(const std::vector<Way> ways, AllWays(table, target, 1));
    for (const Way& way : ways) {
      const KeptShare share = MeasureKeptShare(table, target, way, steps);
      section.rows.push_back({{"model", model.name},
                              {"drop_rate", target},
                              {"masks", way.masks},
                              {"rates", way.rates},
                              {"rows_of_rank", way.rows_of_rank},
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

KeptShare MeasureKeptShare(const LayerTable& table, double target, const Way& way, int64_t steps) {
  const auto all = static_cast<double>(table.TotalBackwardFlops() * way.rows_of_rank);
  const auto rows_of_rank = static_cast<size_t>(way.rows_of_rank);
  Moments kept;
  Moments kept_of_planned;
  Moments slowest;
  for (int64_t step = 0; step < steps; ++step) {
    const std::vector<MaskRow> rows = way.rows(step);
    DROPBP_CHECK_EQ(rows.size() % rows_of_rank, 0u);
    int64_t most = 0;
    for (size_t first = 0; first < rows.size(); first += rows_of_rank) {
      int64_t flops = 0;
      for (size_t row = 0; row < rows_of_rank; ++row) flops += KeptFlops(table, rows[first + row]);
      most = std::max(most, flops);
      kept.Add(static_cast<double>(flops) / all / (1 - target));
      kept_of_planned.Add(static_cast<double>(flops) / all / (1 - way.planned));
    }
    slowest.Add(static_cast<double>(most) / all / (1 - target));
  }
  return {kept.mean(), kept.deviation(), slowest.mean(), kept_of_planned.mean(),
          kept_of_planned.deviation()};
}

absl::StatusOr<Section> BudgetSection(int64_t steps) {
  Section section{
      .key = "budget",
      .heading = "Backward FLOPs kept",
      .title =
          "Backward FLOPs that masks keep in a step, over the budget (1 - drop rate): mean and "
          "standard deviation over the steps, and the same over what the plan says. LoRA, one "
          "rank. Ours keep exactly what their plan says in every step; the plan differs from what "
          "was asked by at most half the cheapest unit.",
      .columns = {{"model", "model"},
                  {"drop_rate", "drop rate"},
                  {"masks", "masks"},
                  {"rates", "rates"},
                  {"rows_of_rank", "rows"},
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
                  .heading = "The slowest rank, LLaMA2-7B",
                  .title =
                      "What the slowest rank of a step computes: E[max over the ranks] of "
                      "kept backward FLOPs, over the budget. LoRA.",
                  .columns = {{"ranks", "ranks"},
                              {"drop_rate", "drop rate"},
                              {"masks", "masks"},
                              {"rates", "rates"},
                              {"rows_of_rank", "rows of a rank"},
                              {"straggler_factor", "slowest/budget", 3}}};
  const LayerTable table = TableOf(Llama2With7B(), "lora");
  for (int ranks : {8, 64}) {
    for (double target : kBudgetTargets) {
      ASSIGN_OR_RETURN(const std::vector<Way> ways, AllWays(table, target, ranks));
      for (const Way& way : ways) {
        const KeptShare share = MeasureKeptShare(table, target, way, steps);
        section.rows.push_back({{"ranks", ranks},
                                {"drop_rate", target},
                                {"masks", way.masks},
                                {"rates", way.rates},
                                {"rows_of_rank", way.rows_of_rank},
                                {"straggler_factor", share.slowest}});
      }
    }
  }
  return section;
}

}  // namespace dropbp::bench
