#include "bench/method_report/traffic.h"

#include <algorithm>

#include "bench/method_report/models.h"
#include "bench/method_report/sensitivities.h"
#include "bench/method_report/statistics.h"
#include "bench/method_report/ways.h"
#include "core/plan/traffic.h"

namespace dropbp::bench {
namespace {

// A fully sharded step gathers every parameter for the forward pass, and gathers parameters and
// scatters gradients of live units for the backward pass; the three are of equal size.
double FullySharded(double live_share) { return (1 + 2 * live_share) / 3; }

}  // namespace

std::vector<trainer::Bucket> UnitBuckets(const LayerTable& table) {
  std::vector<trainer::Bucket> buckets;
  for (size_t u = 0; u < table.units.size(); ++u) {
    buckets.push_back({.unit = static_cast<int>(u),
                       .parameters = {},
                       .elements = table.units[u].trainable_elements});
  }
  buckets.push_back({.unit = -1, .parameters = {}, .elements = table.fixed_trainable_elements});
  return buckets;
}

absl::StatusOr<Section> TrafficSection(int64_t steps) {
  Section section{
      .key = "traffic",
      .heading = "Gradient traffic, full fine-tuning of LLaMA2-7B, shared masks",
      .title =
          "Gradient bytes sent over those of a dense reduction (embedding, head and final norm are "
          "always sent): mean, least and most of a step, beside the formula of the plan; and all "
          "traffic left where parameters are fully sharded. With several mask rows in a step a "
          "unit sends unless all of them drop it.",
      .columns = {{"rates", "rates"},
                  {"drop_rate", "drop rate"},
                  {"mask_rows", "mask rows"},
                  {"sent_over_dense", "all-reduce", 3},
                  {"least", "least", 3},
                  {"most", "most", 3},
                  {"formula", "formula", 3},
                  {"fully_sharded", "fully sharded", 3},
                  {"dense_bytes", "dense bytes"}}};
  const LayerTable table = TableOf(Llama2With7B(), "full");
  const std::vector<trainer::Bucket> buckets = UnitBuckets(table);
  const auto dense = static_cast<double>(trainer::DenseBytes(buckets));
  PhiloxStream random(/*key=*/1, 0, 0);
  const std::vector<double> sensitivities = FallingSensitivities(table, random);
  for (const char* allocation : {"uniform", "quadratic", "depth"}) {
    for (double target : {0.5, 0.75, 0.875}) {
      for (int rows : {1, 4}) {
        ASSIGN_OR_RETURN(
            const MaskPlan masks,
            MasksOf(table,
                    {.allocation = allocation, .target = target, .rows = rows, .shared = true},
                    sensitivities));
        std::vector<double> shares;
        Moments moments;
        for (int64_t step = 0; step < steps; ++step) {
          const auto live = trainer::LiveUnits(masks.Draw(step));
          shares.push_back(static_cast<double>(trainer::LiveBytes(buckets, live)) / dense);
          moments.Add(shares.back());
        }
        section.rows.push_back({{"rates", allocation},
                                {"drop_rate", target},
                                {"mask_rows", rows},
                                {"sent_over_dense", moments.mean()},
                                {"least", *std::min_element(shares.begin(), shares.end())},
                                {"most", *std::max_element(shares.begin(), shares.end())},
                                {"formula", TrafficFactor(table, masks.plan(), rows)},
                                {"fully_sharded", FullySharded(moments.mean())},
                                {"dense_bytes", trainer::DenseBytes(buckets)}});
      }
    }
  }
  return section;
}

}  // namespace dropbp::bench
