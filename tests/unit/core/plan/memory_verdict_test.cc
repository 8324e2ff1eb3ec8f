#include "core/plan/memory_verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/format_bytes.h"
#include "tests/unit/core/plan/shapes.h"

namespace dropbp {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Kind = MemoryVerdict::Kind;

// SmolLM2 in bf16, so that only one peak counts.
JobSpec Job(int64_t ranks = 1) {
  JobSpec spec;
  spec.dtype = "bf16";
  spec.training.micro_batch_size = 64;
  spec.training.global_batch_size = 64 * ranks;
  spec.dataset.max_length = 8192;
  spec.resources.ranks = ranks;
  return spec;
}

int64_t PeakOf(const JobSpec& spec, bool cuda = false) {
  return EstimateJobMemory(SmolLm2(), spec, 0, {.dtype_bytes = 2, .cuda = cuda})->peak;
}

// A node or GPU with `share` times what a rank of the job needs.
SlotMemory With(double share, const JobSpec& spec, int slots = 1, bool cuda = false) {
  return {.worker = "w",
          .cuda = cuda,
          .slots = slots,
          .bytes = static_cast<int64_t>(share * static_cast<double>(PeakOf(spec, cuda)))};
}

Kind Judge(const JobSpec& spec, const std::vector<SlotMemory>& memories) {
  return JudgeMemory(SmolLm2(), spec, 0, memories)->kind;
}

TEST(MemoryVerdictTest, RefusesWhatNeedsMoreThanFiveQuartersOfTheMemory) {
  EXPECT_EQ(Judge(Job(), {With(1 / 1.26, Job())}), Kind::kTooLarge);
  EXPECT_EQ(Judge(Job(), {With(1 / 1.24, Job())}), Kind::kTight);
  EXPECT_EQ(Judge(Job(), {With(1 / 0.91, Job())}), Kind::kTight);
  EXPECT_EQ(Judge(Job(), {With(1 / 0.89, Job())}), Kind::kFits);
}

TEST(MemoryVerdictTest, SlotsThatShareANodeAreTightOnesShareAndTooSmallTogether) {
  EXPECT_EQ(Judge(Job(), {With(2.3, Job(), /*slots=*/2)}), Kind::kFits);
  EXPECT_EQ(Judge(Job(), {With(2, Job(), /*slots=*/2)}), Kind::kTight);
  EXPECT_EQ(Judge(Job(), {With(0.9, Job(), /*slots=*/2)}), Kind::kTight) << "alone it has all";
  EXPECT_EQ(Judge(Job(2), {With(0.9, Job(), /*slots=*/2)}), Kind::kTooLarge);
  EXPECT_EQ(Judge(Job(2), {With(0.9, Job(), 2), With(0.9, Job(), 2)}), Kind::kTight)
      << "one rank on each";
}

TEST(MemoryVerdictTest, EveryRankNeedsASlotThatHoldsIt) {
  const SlotMemory large = With(2, Job(), 1, /*cuda=*/true);
  const SlotMemory small = With(0.5, Job(), 1, /*cuda=*/true);
  EXPECT_EQ(Judge(Job(1), {large}), Kind::kFits);
  EXPECT_EQ(Judge(Job(1), {large, small}), Kind::kTight) << "it may be given the small one";
  EXPECT_EQ(Judge(Job(2), {large, small}), Kind::kTooLarge);
  EXPECT_EQ(Judge(Job(2), {large}), Kind::kFits) << "another may come";
}

TEST(MemoryVerdictTest, OnlyKindsThatTheJobMayRunOnCount) {
  JobSpec spec = Job();
  const std::vector<SlotMemory> both = {With(0.1, spec), With(2, spec, 1, /*cuda=*/true)};
  EXPECT_EQ(Judge(spec, both), Kind::kTight) << "the CPU may be given to it";
  spec.resources.device = "cuda";
  EXPECT_EQ(Judge(spec, both), Kind::kFits);
  spec.resources.device = "cpu";
  EXPECT_EQ(Judge(spec, both), Kind::kTooLarge);
}

TEST(MemoryVerdictTest, HasNoOpinionWithoutSlots) {
  EXPECT_EQ(Judge(Job(), {}), Kind::kFits);
  EXPECT_EQ(Judge(Job(), {{.worker = "w", .slots = 2, .bytes = 0}}), Kind::kFits);
}

TEST(MemoryVerdictTest, GivesACpuTheBenefitOfBf16) {
  JobSpec spec = Job();
  spec.dtype = "auto";
  const auto verdict = JudgeMemory(SmolLm2(), spec, 0, {{With(1.2, spec)}}).value();
  EXPECT_EQ(verdict.kind, Kind::kTight);
  EXPECT_THAT(verdict.figures, HasSubstr("where the processor multiplies bf16"));
  spec.dtype = "fp32";
  EXPECT_EQ(Judge(spec, {With(1.2, Job())}), Kind::kTooLarge);
}

TEST(MemoryVerdictTest, NamesFiguresAndWhatEachSettingAloneWouldNeed) {
  const JobSpec spec = Job();
  const auto verdict = JudgeMemory(SmolLm2(), spec, 0, {{With(0.5, spec, 2)}}).value();
  EXPECT_THAT(verdict.figures,
              HasSubstr("with samples of 8192 tokens a rank is estimated to need " +
                        FormatBytes(PeakOf(spec)) + " in bf16"));
  EXPECT_THAT(verdict.figures, HasSubstr("hold 0 of 1 such rank: the largest, worker 'w', has " +
                                         FormatBytes(PeakOf(spec) / 2)));
  JobSpec changed = spec;
  changed.training.micro_batch_size = 1;
  EXPECT_THAT(verdict.advice,
              HasSubstr("training.micro_batch_size: 1 (" + FormatBytes(PeakOf(changed)) + ")"));
  changed = spec;
  changed.training.activation_checkpointing = true;
  EXPECT_THAT(verdict.advice,
              HasSubstr("activation_checkpointing: true (" + FormatBytes(PeakOf(changed)) + ")"));
  changed = spec;
  changed.dropbp.drop_rate = 0.75;
  EXPECT_THAT(verdict.advice,
              HasSubstr("dropbp.drop_rate: 0.75 (" + FormatBytes(PeakOf(changed)) + ")"));
  EXPECT_THAT(verdict.advice, HasSubstr("dataset.max_length: 4096 ("));
  EXPECT_THAT(verdict.advice, Not(HasSubstr("qlora"))) << "weights are little of it";
}

TEST(MemoryVerdictTest, AdvisesWhatHelpsAgainstWeights) {
  JobSpec spec;
  spec.training.micro_batch_size = 1;
  spec.training.activation_checkpointing = true;
  const auto verdict =
      JudgeMemory(Llama2With7B(), spec, 0,
                  {{{.worker = "w", .cuda = true, .slots = 1, .bytes = int64_t{8} << 30}}})
          .value();
  EXPECT_EQ(verdict.kind, Kind::kTooLarge);
  EXPECT_THAT(verdict.advice, HasSubstr("method: qlora ("));
  EXPECT_THAT(verdict.advice, Not(HasSubstr("micro_batch_size")));
  spec.method = "qlora";
  EXPECT_THAT(JudgeMemory(Llama2With7B(), spec, 0,
                          {{{.worker = "w", .cuda = true, .slots = 1, .bytes = int64_t{2} << 30}}})
                  ->advice,
              HasSubstr("Only slots with more memory help."));
}

TEST(EstimateJobMemoryTest, IsThatOfTheStageThatTakesMost) {
  JobSpec spec = Job();
  JobSpec plain = spec;
  plain.dropbp.drop_rate = 0;
  EXPECT_LT(PeakOf(spec), PeakOf(plain));
  spec.dropbp.schedule = "anneal";
  EXPECT_EQ(PeakOf(spec), PeakOf(plain)) << "it ends at rate 0";
}

}  // namespace
}  // namespace dropbp
