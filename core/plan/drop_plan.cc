#include "core/plan/drop_plan.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/fnv.h"

namespace dropbp {
namespace {

// All floor/ceil choices of all strata but one are compared.
constexpr int kMaxStrata = 16;

struct Stratum {
  std::vector<size_t> units;
  double cost = 0;  // backward FLOPs of one unit
  double kept = 0;  // sum of the units' real keep rates
};

struct Choice {
  std::vector<int32_t> kept;  // n_s by stratum
  double miss = 0;            // FLOPs away from the budget
  double moved = 0;           // sum of |n_s - kept_s|
};

absl::Status CheckRates(const LayerTable& table, absl::Span<const double> drop_rates) {
  if (table.units.empty() || table.units.size() != drop_rates.size()) {
    return absl::InvalidArgumentError(absl::StrCat("drop plan: found ", drop_rates.size(),
                                                   " rates for ", table.units.size(),
                                                   " units, legal is one for each, at least 1"));
  }
  if (table.strata > kMaxStrata) {
    return absl::InvalidArgumentError(
        absl::StrCat("drop plan: found ", table.strata,
                     " kinds of units of different cost, legal is at most ", kMaxStrata));
  }
  for (size_t u = 0; u < drop_rates.size(); ++u) {
    if (!(drop_rates[u] >= 0 && drop_rates[u] <= 1)) {
      return absl::InvalidArgumentError(
          absl::StrCat("drop plan: unit ", u, ": found rate ", drop_rates[u], ", legal is 0 to 1"));
    }
  }
  return absl::OkStatus();
}

std::vector<Stratum> MakeStrata(const LayerTable& table, absl::Span<const double> drop_rates) {
  std::vector<Stratum> strata(static_cast<size_t>(table.strata));
  for (size_t u = 0; u < table.units.size(); ++u) {
    Stratum& stratum = strata[static_cast<size_t>(table.units[u].stratum)];
    stratum.units.push_back(u);
    stratum.cost = static_cast<double>(table.units[u].backward_flops);
    stratum.kept += 1 - drop_rates[u];
  }
  return strata;
}

// Number of units of each stratum that every row keeps. Note [Whole units]: each stratum but the
// cheapest takes the floor or the ceiling of its own sum; the cheapest takes what then comes
// nearest to the budget. So the cost is off by at most half the cheapest unit, and no stratum pays
// for another more than the budget asks.
class WholeUnits {
 public:
  WholeUnits(const std::vector<Stratum>& strata, double budget) : strata_(strata), budget_(budget) {
    for (size_t s = 1; s < strata.size(); ++s) {
      if (strata[s].cost < strata[cheapest_].cost) cheapest_ = s;
    }
  }

  std::vector<int32_t> Choose() const {
    std::optional<Choice> best;
    for (uint32_t ceilings = 0; ceilings < (1u << strata_.size()); ++ceilings) {
      if ((ceilings >> cheapest_ & 1) != 0) continue;
      const Choice choice = Try(ceilings);
      if (!best || IsBetter(choice, *best)) best = choice;
    }
    return best->kept;
  }

 private:
  static bool IsBetter(const Choice& a, const Choice& b) {
    return a.miss != b.miss ? a.miss < b.miss : a.moved < b.moved;
  }

  // The choice in which stratum s is rounded up iff bit s of `ceilings` is set.
  Choice Try(uint32_t ceilings) const {
    // A sum of rates that is whole but for rounding errors is whole.
    constexpr double kSlack = 1e-9;
    Choice choice{.kept = std::vector<int32_t>(strata_.size())};
    double rest = budget_;
    int32_t others = 0;
    for (size_t s = 0; s < strata_.size(); ++s) {
      if (s == cheapest_) continue;
      const double kept = strata_[s].kept;
      const bool up = (ceilings >> s & 1) != 0;
      choice.kept[s] =
          static_cast<int32_t>(up ? std::ceil(kept - kSlack) : std::floor(kept + kSlack));
      rest -= choice.kept[s] * strata_[s].cost;
      others += choice.kept[s];
    }
    const Stratum& cheapest = strata_[cheapest_];
    const double least = others == 0 ? 1 : 0;  // at least one unit is kept in all
    const double nearest = std::floor(rest / cheapest.cost + 0.5);
    choice.kept[cheapest_] = static_cast<int32_t>(
        std::clamp(nearest, least, static_cast<double>(cheapest.units.size())));
    choice.miss = std::fabs(rest - choice.kept[cheapest_] * cheapest.cost);
    for (size_t s = 0; s < strata_.size(); ++s)
      choice.moved += std::fabs(choice.kept[s] - strata_[s].kept);
    return choice;
  }

  const std::vector<Stratum>& strata_;
  double budget_;
  size_t cheapest_ = 0;
};

double ShiftedSum(absl::Span<const double> rates, double shift) {
  double sum = 0;
  for (double rate : rates) sum += std::clamp(rate + shift, 0.0, 1.0);
  return sum;
}

// The nearest point (least squares) to `rates` in [0, 1]^n whose sum is `sum`: one shift for all,
// clamped.
std::vector<double> ProjectToSum(std::vector<double> rates, double sum) {
  if (ShiftedSum(rates, 0) == sum) return rates;
  double low = -1;
  double high = 1;
  for (int i = 0; i < 64; ++i) {
    const double middle = (low + high) / 2;
    (ShiftedSum(rates, middle) < sum ? low : high) = middle;
  }
  for (double& rate : rates) rate = std::clamp(rate + high, 0.0, 1.0);
  return rates;
}

// Keep rates in units of 2^-24 that sum to exactly `kept` * 2^24: rounded down, and the remainder
// goes to the largest fractions.
std::vector<uint32_t> ToIntegers(const std::vector<double>& rates, int32_t kept) {
  std::vector<uint32_t> integers(rates.size());
  std::vector<double> fractions(rates.size());
  int64_t rest = int64_t{kept} * kKeepOne;
  for (size_t i = 0; i < rates.size(); ++i) {
    const double scaled = rates[i] * kKeepOne;
    integers[i] = static_cast<uint32_t>(scaled);
    fractions[i] = scaled - integers[i];
    rest -= integers[i];
  }
  std::vector<size_t> order(rates.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return fractions[a] > fractions[b]; });
  for (size_t i : order) {
    if (rest > 0 && integers[i] < kKeepOne) {
      ++integers[i];
      --rest;
    }
  }
  DROPBP_CHECK_EQ(rest, 0);
  return integers;
}

void SetKeepRates(const Stratum& stratum, absl::Span<const double> drop_rates, int32_t kept,
                  DropPlan& plan) {
  std::vector<double> rates;
  for (size_t u : stratum.units) rates.push_back(1 - drop_rates[u]);
  const std::vector<uint32_t> integers = ToIntegers(ProjectToSum(std::move(rates), kept), kept);
  for (size_t i = 0; i < integers.size(); ++i) plan.keep_rates[stratum.units[i]] = integers[i];
}

}  // namespace

absl::StatusOr<DropPlan> MakeDropPlan(const LayerTable& table, absl::Span<const double> drop_rates,
                                      double target, int32_t version, int64_t first_step) {
  RETURN_IF_ERROR(CheckRates(table, drop_rates));
  const double total = static_cast<double>(table.TotalBackwardFlops());
  const std::vector<Stratum> strata = MakeStrata(table, drop_rates);
  DropPlan plan{.version = version, .first_step = first_step, .target = target};
  plan.keep_rates.resize(table.units.size());
  plan.kept_in_stratum = WholeUnits(strata, (1 - target) * total).Choose();
  double kept_flops = 0;
  for (size_t s = 0; s < strata.size(); ++s) {
    SetKeepRates(strata[s], drop_rates, plan.kept_in_stratum[s], plan);
    kept_flops += plan.kept_in_stratum[s] * strata[s].cost;
  }
  for (const Unit& unit : table.units) plan.unit_stratum.push_back(unit.stratum);
  plan.planned = 1 - kept_flops / total;
  return plan;
}

uint64_t PlanHash(const DropPlan& plan) {
  Fnv1a64 hash;
  hash.Number(static_cast<uint64_t>(plan.version)).Number(static_cast<uint64_t>(plan.first_step));
  for (uint32_t rate : plan.keep_rates) hash.Number(rate);
  if (plan.nested()) {
    hash.Number(static_cast<uint64_t>(plan.block.rows))
        .Number(static_cast<uint64_t>(plan.block.groups))
        .Number(static_cast<uint64_t>(plan.block.kept_layers));
  }
  return hash.hash();
}

double SpeedLimit(const LayerTable& table, const DropPlan& plan, double supervised_share) {
  double forward = 0;
  double backward = 0;
  double kept = 0;
  for (size_t u = 0; u < table.units.size(); ++u) {
    const double flops = static_cast<double>(table.units[u].backward_flops);
    forward += static_cast<double>(table.units[u].forward_flops);
    backward += flops;
    kept += flops * (1 - plan.DropRate(u));
  }
  const double head =
      supervised_share * static_cast<double>(table.head_forward_flops + table.head_backward_flops);
  return (forward + head + backward) / (forward + head + kept);
}

}  // namespace dropbp
