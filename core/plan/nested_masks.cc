#include "core/plan/nested_masks.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/philox.h"

namespace dropbp {
namespace {

constexpr int kUnitsPerLayer = 2;
// Keeps the streams of blocks apart from those of strata (mask_plan.cc).
constexpr uint32_t kBlockStream = kMaskStream | 1u << 16;

absl::Status CheckTable(const LayerTable& table) {
  bool pairs = !table.units.empty() && table.units.size() % kUnitsPerLayer == 0;
  for (size_t u = 0; pairs && u < table.units.size(); ++u) {
    pairs = table.units[u].layer == static_cast<int64_t>(u) / kUnitsPerLayer;
  }
  if (pairs) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "dropbp.allocation depth needs an attention and an MLP unit in each layer, in order");
}

// Exponents are whole numbers of 2^-16.
constexpr int kExponentBits = 16;

// base^(exponent / 2^16) of products and square roots, which IEEE 754 rounds alike everywhere:
// every rank computes it, and must come to the same bits.
double Power(double base, uint64_t exponent) {
  double power = 1;
  double square = base;
  for (uint64_t whole = exponent >> kExponentBits; whole > 0; whole >>= 1) {
    if ((whole & 1) != 0) power *= square;
    square *= square;
  }
  double root = base;
  for (int bit = kExponentBits - 1; bit >= 0; --bit) {
    root = std::sqrt(root);
    if ((exponent >> bit & 1) != 0) power *= root;
  }
  return power;
}

double Rate(int64_t layer, int64_t layers, uint64_t exponent) {
  return Power((static_cast<double>(layer) + 0.5) / static_cast<double>(layers), exponent);
}

double MeanRate(int64_t layers, uint64_t exponent) {
  double sum = 0;
  for (int64_t layer = 0; layer < layers; ++layer) sum += Rate(layer, layers, exponent);
  return sum / static_cast<double>(layers);
}

// The exponent with which rates have this mean: the larger, the fewer rows keep deep layers.
uint64_t ExponentWithMean(int64_t layers, double mean) {
  uint64_t low = 0;  // mean rate 1
  uint64_t high = uint64_t{1} << 32;
  while (high - low > 1) {
    const uint64_t middle = (low + high) / 2;
    (MeanRate(layers, middle) > mean ? low : high) = middle;
  }
  return mean < 1 ? high : 0;
}

bool HasEqualLayers(const LayerTable& table) {
  for (size_t u = kUnitsPerLayer; u < table.units.size(); ++u) {
    if (table.units[u].backward_flops != table.units[u - kUnitsPerLayer].backward_flops) {
      return false;
    }
  }
  return true;
}

double PlannedByRates(const LayerTable& table, const DropPlan& plan) {
  double dropped = 0;
  for (size_t u = 0; u < table.units.size(); ++u) {
    dropped += plan.DropRate(u) * static_cast<double>(table.units[u].backward_flops);
  }
  return dropped / static_cast<double>(table.TotalBackwardFlops());
}

// Step a: a number in [0, 2^24) for each row.
std::vector<uint64_t> DrawOffsets(PhiloxStream& random, int64_t rows, int64_t groups) {
  const int64_t micro_steps = rows / groups;
  // With one group, pairs of micro-steps share a place.
  const int64_t places = groups > 1 ? micro_steps : (micro_steps + 1) / 2;
  std::vector<uint64_t> place(static_cast<size_t>(places));
  std::iota(place.begin(), place.end(), 0);
  Shuffle(random, place);
  const uint64_t offset = random.Next() >> 8;
  std::vector<uint64_t> draws;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t micro_step = row / groups, group = row % groups;
    const uint64_t at = place[static_cast<size_t>(groups > 1 ? micro_step : micro_step / 2)];
    uint64_t draw = (at * kKeepOne + offset) / static_cast<uint64_t>(places);
    if ((groups > 1 ? group : micro_step) % 2 == 1) draw = kKeepOne - 1 - draw;
    draws.push_back((static_cast<uint64_t>(group) * kKeepOne + draw) /
                    static_cast<uint64_t>(groups));
  }
  return draws;
}

// Step c; no row keeps fewer than `least` layers that kept as many before.
void MoveToSum(PhiloxStream& random, int64_t layers, int64_t least, int64_t sum,
               std::vector<int64_t>& kept) {
  int64_t missing = sum - std::accumulate(kept.begin(), kept.end(), int64_t{0});
  for (size_t row = random.Below(static_cast<uint32_t>(kept.size())); missing != 0;
       row = (row + 1) % kept.size()) {
    if (missing > 0 && kept[row] < layers) {
      ++kept[row];
      --missing;
    } else if (missing < 0 && kept[row] > least) {
      --kept[row];
      ++missing;
    }
  }
}

// Layers that the rule of step b keeps.
int64_t Height(const DropPlan& plan, int64_t layers, uint64_t draw) {
  int64_t height = 0;
  while (height < layers &&
         plan.keep_rates[static_cast<size_t>(kUnitsPerLayer * (layers - 1 - height))] > draw) {
    ++height;
  }
  return height;
}

// Layers that each row of a block keeps, `least` or more.
std::vector<int64_t> Heights(const DropPlan& plan, PhiloxStream& random, int64_t rows,
                             int64_t least) {
  const auto layers = static_cast<int64_t>(plan.keep_rates.size()) / kUnitsPerLayer;
  std::vector<int64_t> kept;
  for (const uint64_t draw : DrawOffsets(random, rows, plan.block.groups)) {
    kept.push_back(std::max(least, Height(plan, layers, draw)));
  }
  MoveToSum(random, layers, least, plan.block.kept_layers, kept);
  return kept;
}

// The height of a step whose block is a single row: its turn in its window.
int64_t HeightInWindow(const DropPlan& plan, uint64_t seed, int64_t step) {
  const int64_t turn = ((step - plan.first_step) % kNestedWindow + kNestedWindow) % kNestedWindow;
  PhiloxStream random(seed, static_cast<uint64_t>(step - turn), kBlockStream);
  return Heights(plan, random, kNestedWindow, 1)[static_cast<size_t>(turn)];
}

}  // namespace

absl::StatusOr<DropPlan> MakeNestedPlan(const LayerTable& table, int rows, int groups,
                                        double target, int32_t version, int64_t first_step) {
  RETURN_IF_ERROR(CheckTable(table));
  DROPBP_CHECK(groups >= 1 && rows >= groups && rows % groups == 0);
  if (!(target >= 0 && target < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("drop plan: found target ", target, ", legal is 0 to below 1"));
  }
  const auto layers = static_cast<int64_t>(table.units.size()) / kUnitsPerLayer;
  // Rows that meet the budget together, and the layers that they keep at least.
  const int64_t together = rows == 1 ? kNestedWindow : rows;
  const int64_t least = rows == 1 ? kNestedWindow : 1;
  const int64_t all = layers * together;
  DropPlan plan{.version = version, .first_step = first_step, .target = target};
  plan.block = {.rows = rows, .groups = groups};
  plan.block.kept_layers =
      std::clamp<int64_t>(std::llround((1 - target) * static_cast<double>(all)), least, all);
  const double mean = static_cast<double>(plan.block.kept_layers) / static_cast<double>(all);
  const uint64_t exponent = ExponentWithMean(layers, mean);
  for (int64_t layer = 0; layer < layers; ++layer) {
    const auto rate = static_cast<uint32_t>(std::lround(Rate(layer, layers, exponent) * kKeepOne));
    plan.keep_rates.insert(plan.keep_rates.end(), kUnitsPerLayer, rate);
  }
  for (const Unit& unit : table.units) plan.unit_stratum.push_back(unit.stratum);
  plan.planned = HasEqualLayers(table) ? 1 - mean : PlannedByRates(table, plan);
  return plan;
}

std::vector<std::vector<bool>> DrawNestedBlock(const DropPlan& plan, uint64_t seed, int64_t step,
                                               uint32_t block) {
  DROPBP_CHECK(plan.nested());
  std::vector<int64_t> kept;
  if (plan.block.rows == 1) {
    kept = {HeightInWindow(plan, seed, step)};
  } else {
    PhiloxStream random(seed, static_cast<uint64_t>(step), kBlockStream + block);
    kept = Heights(plan, random, plan.block.rows, 0);
  }
  std::vector<std::vector<bool>> rows;
  for (const int64_t height : kept) {
    std::vector<bool> row(plan.keep_rates.size());
    std::fill(row.end() - kUnitsPerLayer * height, row.end(), true);
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace dropbp
