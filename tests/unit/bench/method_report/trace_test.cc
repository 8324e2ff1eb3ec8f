#include "bench/method_report/trace.h"

#include <gtest/gtest.h>

#include "tests/unit/worker/trainer/model/small_decoder.h"

namespace dropbp::bench {
namespace {

using trainer::MakeBatch;
using trainer::SmallDecoder;
using trainer::SmallOptions;

constexpr int kUnitsOfSmall[] = {0, 1, 2, 3, 4, 5};

trainer::StepBatch SmallStep() {
  const trainer::SmallBatch batch = MakeBatch();
  trainer::StepBatch step;
  step.micro_batches.push_back({batch.ids, batch.targets});
  step.tokens = batch.ids.numel();
  step.supervised_tokens = batch.targets.ne(-100).sum().item<int64_t>();
  return step;
}

Trace TraceOfSmall(trainer::ProbeMeasure measure) {
  const auto model = SmallDecoder(SmallOptions("lora"));
  return TraceOf(*model, SmallStep(), measure, kUnitsOfSmall);
}

TEST(TraceTest, OursChangesNoBit) {
  for (const auto measure : {trainer::MeasureBySuffixes, trainer::MeasureByDefinition}) {
    const Trace trace = TraceOfSmall(measure);
    for (const Changed& changed :
         {trace.parameters, trace.gradients, trace.optimizer, trace.generator}) {
      EXPECT_EQ(changed.tensors, 0);
      EXPECT_GT(changed.of, 0);
    }
  }
}

TEST(TraceTest, TheAuthorsChangesGradientsAndTheGenerator) {
  const Trace trace = TraceOfSmall(MeasureAsTheAuthors);
  EXPECT_EQ(trace.parameters.tensors, 0);
  EXPECT_GT(trace.gradients.tensors, trace.gradients.of / 2);
  EXPECT_EQ(trace.optimizer.tensors, 0);
  EXPECT_EQ(trace.generator.tensors, 1);
}

}  // namespace
}  // namespace dropbp::bench
