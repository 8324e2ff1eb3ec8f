#include "bench/method_report/allocation.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "bench/method_report/models.h"
#include "bench/method_report/original.h"
#include "bench/method_report/sensitivities.h"
#include "bench/method_report/statistics.h"
#include "core/plan/allocate.h"
#include "core/plan/drop_plan.h"
#include "core/plan/plan_stages.h"

namespace dropbp::bench {
namespace {

constexpr double kGreedyCap = 0.9;
constexpr double kTargets[] = {0.5, 0.75, 0.875, 0.95};
constexpr int kTimedRuns = 201;

// A sum of rates that was rounded in another order may pass the cap by so much.
constexpr double kSlack = 1e-12;

struct Family {
  std::string name;
  std::vector<Instance> instances;
};

std::vector<Family> DrawnFamilies(int64_t count) {
  const LayerTable table = TableOf(Llama2With7B(), "lora");
  const std::vector<int64_t> costs = UnitCosts(table);
  PhiloxStream random(1, 0, 0);
  std::vector<Family> families = {{"random", {}}, {"falling", {}}};
  for (int64_t i = 0; i < count; ++i) {
    families[0].instances.push_back({costs, RandomSensitivities(table, random)});
    families[1].instances.push_back({costs, FallingSensitivities(table, random)});
  }
  return families;
}

absl::Status AddComparison(const Family& family, double target, Section& section) {
  std::vector<double> excess;
  double residual = 0;
  for (const Instance& instance : family.instances) {
    const double cap = DefaultMaxUnitRate(target);
    ASSIGN_OR_RETURN(const std::vector<double> ours,
                     AllocateDropRates(Allocator::kQuadratic, instance.costs,
                                       instance.sensitivities, target, cap));
    residual = std::max(residual, KktResidual(instance, ours, target, cap));
    const absl::StatusOr<double> ratio = GreedyOverOptimum(instance, target);
    if (ratio.ok()) excess.push_back(*ratio - 1);
  }
  nlohmann::ordered_json row = {{"sensitivities", family.name},
                                {"drop_rate", target},
                                {"instances", family.instances.size()},
                                {"greedy_failures", family.instances.size() - excess.size()},
                                {"kkt_residual", residual}};
  if (!excess.empty()) {
    row["greedy_excess_median"] = Median(excess);
    row["greedy_excess_min"] = *std::min_element(excess.begin(), excess.end());
    row["greedy_excess_max"] = *std::max_element(excess.begin(), excess.end());
  }
  section.rows.push_back(std::move(row));
  return absl::OkStatus();
}

template <typename Body>
double MedianMicroseconds(const Body& body) {
  std::vector<double> times;
  for (int i = 0; i < kTimedRuns; ++i) times.push_back(1e6 * SecondsOf(body));
  return Median(times);
}

}  // namespace

double QuadraticObjective(const Instance& instance, absl::Span<const double> rates) {
  double sum = 0;
  for (size_t u = 0; u < rates.size(); ++u) {
    sum += instance.sensitivities[u] * rates[u] * rates[u] / 2;
  }
  return sum;
}

double DroppedShare(const Instance& instance, absl::Span<const double> rates) {
  double dropped = 0;
  double total = 0;
  for (size_t u = 0; u < rates.size(); ++u) {
    dropped += rates[u] * static_cast<double>(instance.costs[u]);
    total += static_cast<double>(instance.costs[u]);
  }
  return dropped / total;
}

double KktResidual(const Instance& instance, absl::Span<const double> rates, double target,
                   double max_rate) {
  const auto price = [&](size_t u) {
    return instance.sensitivities[u] * rates[u] / static_cast<double>(instance.costs[u]);
  };
  double lambda = 0;
  for (size_t u = 0; u < rates.size(); ++u) {
    if (rates[u] < max_rate) lambda = std::max(lambda, price(u));
  }
  double residual = std::fabs(DroppedShare(instance, rates) - target);
  for (size_t u = 0; u < rates.size(); ++u) {
    residual = std::max({residual, -rates[u], rates[u] - max_rate});
    if (lambda == 0) continue;  // every unit is at a bound
    const double miss = price(u) / lambda - 1;
    residual = std::max(residual, rates[u] < max_rate ? std::fabs(miss) : miss);
  }
  return residual;
}

absl::StatusOr<double> GreedyOverOptimum(const Instance& instance, double target) {
  ASSIGN_OR_RETURN(const std::vector<double> greedy, GreedyRates(instance.sensitivities, target));
  const double dropped = std::min(DroppedShare(instance, greedy), kGreedyCap - kSlack);
  ASSIGN_OR_RETURN(const std::vector<double> best,
                   AllocateDropRates(Allocator::kQuadratic, instance.costs, instance.sensitivities,
                                     dropped, kGreedyCap));
  return QuadraticObjective(instance, greedy) / QuadraticObjective(instance, best);
}

absl::StatusOr<Section> AllocationSection(int64_t instances, const std::string& measured_name,
                                          const Instance& measured) {
  Section section{
      .key = "allocation",
      .heading = "Allocation",
      .title =
          "Drop rates from sensitivities: how far the authors' greedy rule ends above the optimum "
          "of sum S_u p_u^2 at the FLOPs that it drops itself, and how exactly ours is at the "
          "optimum (largest relative violation of its conditions). LLaMA2-7B where not measured.",
      .columns = {{"sensitivities", "sensitivities"},
                  {"drop_rate", "drop rate"},
                  {"instances", "instances"},
                  {"greedy_excess_median", "greedy: median", 3},
                  {"greedy_excess_min", "least", 3},
                  {"greedy_excess_max", "most", 3},
                  {"greedy_failures", "no answer"},
                  {"kkt_residual", "ours: residual"}}};
  std::vector<Family> families = DrawnFamilies(instances);
  if (!measured.costs.empty()) families.push_back({measured_name, {measured}});
  for (const Family& family : families) {
    for (double target : kTargets) {
      RETURN_IF_ERROR(AddComparison(family, target, section));
    }
  }
  return section;
}

absl::StatusOr<Section> AllocationTimeSection() {
  const LayerTable table = TableOf(Llama3With70B(), "lora");
  const std::vector<int64_t> costs = UnitCosts(table);
  PhiloxStream random(1, 0, 0);
  const std::vector<double> sensitivities = RandomSensitivities(table, random);
  Section section{.key = "allocation_time",
                  .heading = "Time of allocation",
                  .title =
                      "Time of allocating drop rates to 160 units, and of making the integer "
                      "plan from them: medians, one thread.",
                  .columns = {{"allocator", "allocator"},
                              {"drop_rate", "drop rate"},
                              {"allocate_us", "allocate us", 1},
                              {"plan_us", "plan us", 1}}};
  for (const char* name : {"quadratic", "linear", "neyman"}) {
    ASSIGN_OR_RETURN(const Allocator allocator, ParseAllocator(name));
    for (double target : {0.5, 0.875}) {
      const double cap = DefaultMaxUnitRate(target);
      ASSIGN_OR_RETURN(const std::vector<double> rates,
                       AllocateDropRates(allocator, costs, sensitivities, target, cap));
      section.rows.push_back(
          {{"allocator", name},
           {"drop_rate", target},
           {"allocate_us", MedianMicroseconds([&] {
              return AllocateDropRates(allocator, costs, sensitivities, target, cap).ok();
            })},
           {"plan_us",
            MedianMicroseconds([&] { return MakeDropPlan(table, rates, target, 1, 0).ok(); })}});
    }
  }
  return section;
}

}  // namespace dropbp::bench
