#include "bench/method_report/original.h"

#include <cmath>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"

namespace dropbp::bench {
namespace {

constexpr int kMostTenths = 9;

}  // namespace

absl::StatusOr<std::vector<double>> GreedyRates(absl::Span<const double> sensitivities,
                                                double target) {
  const size_t units = sensitivities.size();
  const double wanted = 10 * target * static_cast<double>(units);
  std::vector<int> tenths(units, 0);
  // Products such as 10 * 0.7 * 10 have no exact double.
  for (int64_t sum = 0; static_cast<double>(sum) < wanted - 1e-9; ++sum) {
    size_t best = units;
    double best_price = 0;
    for (size_t u = 0; u < units; ++u) {
      if (tenths[u] == kMostTenths) continue;
      const double price = sensitivities[u] * (tenths[u] + 1) / 10;
      if (best < units && price >= best_price) continue;
      best = u;
      best_price = price;
    }
    if (best == units) {
      return absl::FailedPreconditionError(absl::StrCat(
          "greedy allocation: every unit is at 0.9 and target ", target, " is not reached"));
    }
    ++tenths[best];
  }
  std::vector<double> rates(units);
  for (size_t u = 0; u < units; ++u) rates[u] = tenths[u] / 10.0;
  return rates;
}

MaskRow BernoulliSampler::Draw() {
  MaskRow row(drop_rates_.size());
  for (size_t u = 0; u < row.size(); ++u) row[u] = random_.Uniform() >= drop_rates_[u];
  return row;
}

CountingSampler::CountingSampler(std::vector<double> drop_rates, double target, uint64_t seed)
    : drop_rates_(std::move(drop_rates)),
      most_kept_(std::llround((1 - target) * static_cast<double>(drop_rates_.size()))),
      random_(seed, 0, 0) {}

MaskRow CountingSampler::Draw() {
  std::vector<size_t> order(drop_rates_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  for (size_t left = order.size(); left > 1; --left) {
    std::swap(order[left - 1], order[random_.Below(static_cast<uint32_t>(left))]);
  }
  MaskRow row(drop_rates_.size());
  int64_t kept = 0;
  for (size_t u : order) {
    if (kept == most_kept_) break;
    if (random_.Uniform() < drop_rates_[u]) continue;
    row[u] = true;
    ++kept;
  }
  return row;
}

}  // namespace dropbp::bench
