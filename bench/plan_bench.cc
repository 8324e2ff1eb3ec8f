// What planning costs: allocation of drop rates, the integer plan, mask rows and their hashes. 160
// units are an 80-layer model.
#include <benchmark/benchmark.h>

#include <cmath>

#include "core/base/check.h"
#include "core/base/philox.h"
#include "core/plan/allocate.h"
#include "core/plan/mask_plan.h"

namespace dropbp {
namespace {

constexpr double kTarget = 0.5;

LayerTable TableWithUnits(int64_t units) {
  const ModelShape shape{.model_type = "llama",
                         .layers = units / 2,
                         .hidden_size = 8192,
                         .intermediate_size = 28672,
                         .attention_heads = 64,
                         .key_value_heads = 8,
                         .head_dim = 128,
                         .vocab_size = 128256};
  auto table = BuildLayerTable(shape, JobSpec(), 4096);
  DROPBP_CHECK(table.ok());
  return *std::move(table);
}

std::vector<int64_t> Costs(const LayerTable& table) {
  std::vector<int64_t> costs;
  for (const Unit& unit : table.units) costs.push_back(unit.backward_flops);
  return costs;
}

// Spread over four orders of magnitude.
std::vector<double> Sensitivities(size_t units) {
  PhiloxStream random(1, 2, 3);
  std::vector<double> sensitivities(units);
  for (double& s : sensitivities) s = std::pow(10.0, 4 * random.Uniform() - 2);
  return sensitivities;
}

std::vector<double> Rates(const LayerTable& table) {
  const auto rates =
      AllocateDropRates(Allocator::kQuadratic, Costs(table), Sensitivities(table.units.size()),
                        kTarget, DefaultMaxUnitRate(kTarget));
  DROPBP_CHECK(rates.ok());
  return *rates;
}

DropPlan Plan(const LayerTable& table) {
  const auto plan = MakeDropPlan(table, Rates(table), kTarget, 1, 0);
  DROPBP_CHECK(plan.ok());
  return *plan;
}

void BM_AllocateDropRates(benchmark::State& state) {
  const LayerTable table = TableWithUnits(state.range(0));
  const std::vector<int64_t> costs = Costs(table);
  const std::vector<double> sensitivities = Sensitivities(table.units.size());
  for (auto _ : state) {
    benchmark::DoNotOptimize(AllocateDropRates(Allocator::kQuadratic, costs, sensitivities, kTarget,
                                               DefaultMaxUnitRate(kTarget)));
  }
}
BENCHMARK(BM_AllocateDropRates)->Arg(60)->Arg(160);

void BM_MakeDropPlan(benchmark::State& state) {
  const LayerTable table = TableWithUnits(state.range(0));
  const std::vector<double> rates = Rates(table);
  for (auto _ : state) benchmark::DoNotOptimize(MakeDropPlan(table, rates, kTarget, 1, 0));
}
BENCHMARK(BM_MakeDropPlan)->Arg(60)->Arg(160);

// Items are mask rows.
void BM_DrawMasks(benchmark::State& state) {
  const MaskPlan masks(Plan(TableWithUnits(state.range(0))), 42, static_cast<int>(state.range(1)));
  int64_t step = 0;
  for (auto _ : state) benchmark::DoNotOptimize(masks.Draw(step++));
  state.SetItemsProcessed(state.iterations() * state.range(1));
}
BENCHMARK(BM_DrawMasks)->Args({160, 1})->Args({160, 8})->Args({160, 64})->Args({60, 4});

// A block of 1024 steps, as broadcast.
void BM_DrawMaskBlock(benchmark::State& state) {
  const MaskPlan masks(Plan(TableWithUnits(160)), 42, 4);
  for (auto _ : state) benchmark::DoNotOptimize(DrawMaskBlock(masks, 0, 1024));
}
BENCHMARK(BM_DrawMaskBlock)->Unit(benchmark::kMicrosecond);

void BM_VerifyMaskBlock(benchmark::State& state) {
  const MaskBlock block = DrawMaskBlock(MaskPlan(Plan(TableWithUnits(160)), 42, 4), 0, 1024);
  for (auto _ : state) benchmark::DoNotOptimize(VerifyMaskBlock(block).ok());
}
BENCHMARK(BM_VerifyMaskBlock)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace dropbp

BENCHMARK_MAIN();
