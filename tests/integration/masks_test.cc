// What the ranks say about each step against what the plan says: masks, FLOPs and bytes.
#include <algorithm>
#include <cmath>
#include <iterator>

#include "absl/strings/str_format.h"
#include "core/plan/mask_plan.h"
#include "core/plan/plan_stages.h"
#include "proto/support/job_spec_proto.h"
#include "tests/integration/cluster_test.h"

namespace dropbp::testing {
namespace {

constexpr int64_t kSteps = 60;
constexpr int64_t kBytesPerElement = 4;  // gradients are fp32

// TinyModel()'s shape, as in make_tiny_model.py.
ModelShape TinyShape() {
  return {.model_type = "llama",
          .layers = 4,
          .hidden_size = 64,
          .intermediate_size = 160,
          .attention_heads = 4,
          .key_value_heads = 2,
          .head_dim = 16,
          .vocab_size = 302,
          .tied_embeddings = true};
}

// The plan that a job shows, made ready for drawing. `block` is what it does not show of nested
// rows.
DropPlan FromJob(const v1::DropPlan& shown, const NestedBlock& block, const LayerTable& table) {
  DropPlan plan{.version = shown.version(),
                .first_step = shown.first_step(),
                .planned = shown.planned_drop_rate(),
                .block = block};
  std::vector<int64_t> sums(table.strata, 0);
  for (int u = 0; u < shown.units_size(); ++u) {
    plan.keep_rates.push_back(
        static_cast<uint32_t>(std::lround((1 - shown.units(u).drop_rate()) * kKeepOne)));
    plan.unit_stratum.push_back(table.units[u].stratum);
    sums[table.units[u].stratum] += plan.keep_rates.back();
  }
  if (plan.nested()) return plan;
  for (const int64_t sum : sums) {
    EXPECT_EQ(sum % kKeepOne, 0) << "a stratum keeps a whole number of units";
    plan.kept_in_stratum.push_back(static_cast<int32_t>(sum / kKeepOne));
  }
  return plan;
}

// The formula: what is never dropped, and the units that some row keeps.
int64_t LiveBytes(const std::vector<MaskRow>& rows, const LayerTable& table) {
  int64_t bytes = table.fixed_trainable_elements * kBytesPerElement;
  for (size_t unit = 0; unit < table.units.size(); ++unit) {
    const bool live =
        std::any_of(rows.begin(), rows.end(), [&](const MaskRow& row) { return row[unit]; });
    if (live) bytes += table.units[unit].trainable_elements * kBytesPerElement;
  }
  return bytes;
}

// Rows of a step, block by block.
void ExpectPlannedLayers(const std::vector<MaskRow>& rows, const NestedBlock& block) {
  ASSERT_EQ(std::ssize(rows) % block.rows, 0);
  for (size_t first = 0; first < rows.size(); first += static_cast<size_t>(block.rows)) {
    int64_t units = 0;
    for (int32_t row = 0; row < block.rows; ++row) {
      units += std::count(rows[first + row].begin(), rows[first + row].end(), true);
    }
    EXPECT_EQ(units, 2 * block.kept_layers);
  }
}

struct Case {
  const char* method;
  double drop_rate;
  const char* masks;
  const char* allocation = "quadratic";
  int micro_batch = 2;
};

class MasksTest : public ClusterTest, public ::testing::WithParamInterface<Case> {};

TEST_P(MasksTest, EveryStepOfEveryRankFollowsThePlan) {
  ASSERT_NO_FATAL_FAILURE(StartCluster());
  JobSpec spec = TinyJob();
  spec.training.steps = kSteps;
  spec.method = GetParam().method;
  spec.dropbp = {.drop_rate = GetParam().drop_rate,
                 .allocation = GetParam().allocation,
                 .masks = GetParam().masks};
  spec.training.micro_batch_size = GetParam().micro_batch;
  const v1::Job job = RunUndisturbed(spec);
  const LayerTable table = BuildLayerTable(TinyShape(), spec, spec.dataset.max_length).value();
  // Before the first probe, or of a job that has none.
  const DropPlan begin =
      MakeStagePlan(table, spec, {.target = spec.dropbp.drop_rate}, /*sensitivities=*/{}).value();
  const MaskPlan first(begin, spec.training.seed, MaskRows(spec));
  const MaskPlan second(FromJob(job.plan(), begin.block, table), spec.training.seed,
                        MaskRows(spec));
  // A row costs its units times the positions of its micro-batch. Rows of the ruler each keep what
  // is planned; nested ones do so together, and padding makes micro-batches differ.
  const bool exact = !begin.nested() || begin.block.rows == begin.block.groups;
  const double tolerance = exact ? 1e-12 : 0.1;
  const int64_t dense = LiveBytes({MaskRow(table.units.size(), true)}, table);

  ASSERT_OK_AND_ASSIGN(const auto history,
                       ReadStepHistory(cluster().data_dir().string(), job.job_id()));
  ASSERT_OK_AND_ASSIGN(const std::string log0, cluster().Log(job.job_id(), 0));
  ASSERT_OK_AND_ASSIGN(const std::string log1, cluster().Log(job.job_id(), 1));
  const std::vector<StepLine> rank0 = ParseStepLines(log0);
  const std::vector<StepLine> rank1 = ParseStepLines(log1);
  ASSERT_TRUE(EachStepOnce(history, kSteps));
  ASSERT_TRUE(EachStepOnce(rank0, kSteps));
  ASSERT_TRUE(EachStepOnce(rank1, kSteps));
  for (int64_t step = 0; step < kSteps; ++step) {
    SCOPED_TRACE(absl::StrFormat("step %d", step));
    const v1::StepReport& report = history[step];
    const MaskPlan& masks = step < job.plan().first_step() ? first : second;
    const std::vector<MaskRow> rows = masks.Draw(step);
    EXPECT_EQ(report.mask_hash(), MaskHash(rows));
    EXPECT_EQ(rank0[step].masks, absl::StrFormat("%016x", MaskHash(rows)));
    EXPECT_EQ(rank1[step].masks, rank0[step].masks);
    const double all = report.backward_flops_done() + report.backward_flops_saved();
    EXPECT_NEAR(report.backward_flops_saved() / all, masks.plan().planned, tolerance);
    if (begin.nested()) ExpectPlannedLayers(rows, begin.block);
    EXPECT_EQ(report.gradient_bytes_sent(), LiveBytes(rows, table));
    EXPECT_EQ(report.gradient_bytes_dense(), dense);
    EXPECT_EQ(rank1[step].bytes_sent, report.gradient_bytes_sent());
    EXPECT_NEAR(rank1[step].dropped, masks.plan().planned, std::max(5e-4, tolerance));
  }
}

INSTANTIATE_TEST_SUITE_P(
    MethodsRatesAndMasks, MasksTest,
    ::testing::Values(Case{"lora", 0.5, "balanced"}, Case{"lora", 0.75, "shared"},
                      Case{"lora", 0.875, "shared"}, Case{"full", 0.5, "shared"},
                      Case{"full", 0.75, "shared"}, Case{"full", 0.875, "shared"},
                      Case{"lora", 0.5, "auto", "depth", 4}, Case{"full", 0.75, "auto", "depth"}),
    [](const auto& info) {
      const Case& param = info.param;
      return absl::StrFormat("%sRate%dPerMilleMasks%s%s", param.method,
                             std::lround(param.drop_rate * 1000), param.masks, param.allocation);
    });

}  // namespace
}  // namespace dropbp::testing
