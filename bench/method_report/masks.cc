#include "bench/method_report/masks.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "bench/method_report/models.h"
#include "bench/method_report/sensitivities.h"
#include "bench/method_report/statistics.h"
#include "bench/method_report/ways.h"

namespace dropbp::bench {
namespace {

constexpr uint64_t kSeed = 1;
constexpr int kRows = 8;

double NanosecondsOfRow(const MaskPlan& masks) {
  constexpr int kSteps = 200;
  std::vector<double> times;
  for (int round = 0; round < 51; ++round) {
    size_t drawn = 0;
    const double seconds = SecondsOf([&] {
      for (int step = 0; step < kSteps; ++step) drawn += masks.Draw(step).size();
    });
    times.push_back(1e9 * seconds / static_cast<double>(drawn));
  }
  return Median(times);
}

}  // namespace

double LargestMarginalZ(const DropPlan& plan, int64_t steps) {
  const MaskPlan masks(plan, kSeed, 1);
  std::vector<int64_t> kept(plan.keep_rates.size(), 0);
  for (int64_t step = 0; step < steps; ++step) {
    const MaskRow row = masks.Draw(step).front();
    for (size_t u = 0; u < row.size(); ++u) kept[u] += row[u] ? 1 : 0;
  }
  double largest = 0;
  for (size_t u = 0; u < kept.size(); ++u) {
    const double q = 1 - plan.DropRate(u);
    const double expected = q * static_cast<double>(steps);
    const double miss = std::fabs(static_cast<double>(kept[u]) - expected);
    if (miss == 0) continue;
    const double deviation = std::sqrt(expected * (1 - q));
    largest =
        std::max(largest, deviation > 0 ? miss / deviation : std::numeric_limits<double>::max());
  }
  return largest;
}

int64_t CountsOutsideFloorCeil(const DropPlan& plan, int rows, int64_t steps) {
  const MaskPlan masks(plan, kSeed, rows);
  int64_t outside = 0;
  for (int64_t step = 0; step < steps; ++step) {
    const std::vector<MaskRow> drawn = masks.Draw(step);
    for (size_t u = 0; u < plan.keep_rates.size(); ++u) {
      uint64_t kept = 0;
      for (const MaskRow& row : drawn) kept += row[u] ? 1 : 0;
      const uint64_t exact = static_cast<uint64_t>(rows) * plan.keep_rates[u];  // times 2^24
      const uint64_t low = exact / kKeepOne;
      const uint64_t high = (exact + kKeepOne - 1) / kKeepOne;
      if (kept < low || kept > high) ++outside;
    }
  }
  return outside;
}

absl::StatusOr<Section> MaskSection(int64_t steps) {
  Section section{
      .key = "masks",
      .heading = "Masks",
      .title =
          "Time of a mask row (median, one thread; steps of 1 and of 8 rows), of the ruler with "
          "quadratic rates and of nested masks (depth). Of the ruler also: largest deviation of a "
          "unit's count from its keep rate in standard deviations, and counts of a step's 8 rows "
          "that are neither floor nor ceil of 8 q_u.",
      .columns = {{"model", "model"},
                  {"units", "units"},
                  {"drop_rate", "drop rate"},
                  {"masks", "masks"},
                  {"ns_per_row_1", "ns a row, 1 row", 0},
                  {"ns_per_row_8", "8 rows", 0},
                  {"steps", "steps"},
                  {"largest_z", "largest z", 2},
                  {"outside_floor_ceil", "outside floor/ceil"}}};
  for (const NamedModel& model : {Llama2With7B(), Llama3With70B()}) {
    const LayerTable table = TableOf(model, "lora");
    PhiloxStream random(kSeed, 0, 0);
    const std::vector<double> sensitivities = RandomSensitivities(table, random);
    for (double target : {0.5, 0.875}) {
      for (const char* allocation : {"quadratic", "depth"}) {
        const auto masks = [&](int rows) {
          return MasksOf(table, {.allocation = allocation, .target = target, .rows = rows},
                         sensitivities);
        };
        ASSIGN_OR_RETURN(const MaskPlan one, masks(1));
        ASSIGN_OR_RETURN(const MaskPlan eight, masks(kRows));
        nlohmann::ordered_json row = {{"model", model.name},
                                      {"units", model.units()},
                                      {"drop_rate", target},
                                      {"masks", one.plan().nested() ? "nested" : "ruler"},
                                      {"ns_per_row_1", NanosecondsOfRow(one)},
                                      {"ns_per_row_8", NanosecondsOfRow(eight)}};
        if (!one.plan().nested()) {
          row["steps"] = steps;
          row["largest_z"] = LargestMarginalZ(one.plan(), steps);
          row["outside_floor_ceil"] = CountsOutsideFloorCeil(one.plan(), kRows, steps);
        }
        section.rows.push_back(std::move(row));
      }
    }
  }
  return section;
}

}  // namespace dropbp::bench
