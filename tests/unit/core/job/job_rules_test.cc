#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/job/job_fields.h"
#include "tests/unit/core/job/legal_spec.h"

namespace dropbp {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

auto Breaks(const std::string& field, const std::string& text) {
  return AllOf(Field(&FieldViolation::field, field),
               Field(&FieldViolation::description, HasSubstr(text)));
}

TEST(ValidateJobSpecTest, AcceptsTheDefaultsWithAModelAndData) {
  EXPECT_THAT(ValidateJobSpec(LegalSpec()), IsEmpty());
}

TEST(ValidateJobSpecTest, InitFromNamesAJobOrACheckpointOfOne) {
  JobSpec spec = LegalSpec();
  spec.init_from = "first@best";
  EXPECT_THAT(ValidateJobSpec(spec), IsEmpty());
  spec.init_from = "first@step-4";
  EXPECT_THAT(ValidateJobSpec(spec),
              ElementsAre(Breaks("init_from", "found \"first@step-4\", legal is the id of a job")));
}

TEST(ValidateJobSpecTest, ChecksTheSettingsOfEveryMethod) {
  JobSpec spec = LegalSpec();
  spec.lora.use_dora = true;
  spec.lora.dropout = 0.1;
  spec.lora.rank_pattern = {{"q_(", 4}};
  spec.qlora.block_size = 96;
  spec.ia3.target_modules = {};
  spec.lora.modules_to_save = {"norm"};
  EXPECT_THAT(
      ValidateJobSpec(spec),
      testing::UnorderedElementsAre(
          Breaks("lora.dropout", "found 0.1, legal is 0 with lora.use_dora"),
          Breaks("lora.rank_pattern", "found \"q_(\", legal is a regular expression (RE2)"),
          Breaks("qlora.block_size", "found 96, legal is a power of two"),
          Breaks("ia3.target_modules", "found an empty list, legal is at least one module"),
          Breaks("lora.modules_to_save", "found \"norm\", legal is a list of embed_tokens or")));
  spec = LegalSpec();
  spec.lora.rank_pattern = {{"q_proj", 4.5}};
  EXPECT_THAT(ValidateJobSpec(spec),
              ElementsAre(Breaks("lora.rank_pattern", "found 4.5, legal is a whole number")));
}

TEST(ValidateJobSpecTest, ChecksFilesAndWeightsOfAMix) {
  JobSpec spec = LegalSpec();
  const std::string sha256(64, 'b');
  for (const double weight : {0.001, 1.0, 2.25, 1000.0}) {
    spec.dataset.mix = {{sha256, weight}};
    EXPECT_THAT(ValidateJobSpec(spec), IsEmpty()) << weight;
  }
  for (const double weight : {0.0, -1.0, 1000.5, std::nan("")}) {
    spec.dataset.mix = {{sha256, weight}};
    EXPECT_THAT(ValidateJobSpec(spec), ElementsAre(Breaks("dataset.mix." + sha256,
                                                          "legal is a number above 0, up to 1000")))
        << weight;
  }
  spec.dataset.mix = {{"more.jsonl", 1}};
  EXPECT_THAT(ValidateJobSpec(spec),
              ElementsAre(Breaks("dataset.mix", "found key \"more.jsonl\", legal is the SHA-256")));
}

TEST(ValidateJobSpecTest, RefusesPackingWithVirtualTokens) {
  JobSpec spec = LegalSpec();
  spec.dataset.packing = true;
  EXPECT_THAT(ValidateJobSpec(spec), IsEmpty());
  spec.method = "prompt_tuning";
  EXPECT_THAT(ValidateJobSpec(spec),
              ElementsAre(Breaks("dataset.packing", "found true with method prompt_tuning")));
}

TEST(ValidateJobSpecTest, HeldOutSamplesComeFromOneOfTwo) {
  JobSpec spec = LegalSpec();
  spec.dataset.validation_artifact = std::string(64, 'b');
  spec.evaluation.patience = 3;
  spec.evaluation.result = "best";
  EXPECT_THAT(ValidateJobSpec(spec), IsEmpty());
  spec.dataset.validation_share = 0.1;
  EXPECT_THAT(ValidateJobSpec(spec), ElementsAre(Breaks("dataset.validation_share",
                                                        "found 0.1, legal is 0 with a validation "
                                                        "file")));
  spec.dataset.validation_artifact = "";
  EXPECT_THAT(ValidateJobSpec(spec), IsEmpty());
  spec.dataset.validation_share = 0;
  EXPECT_THAT(
      ValidateJobSpec(spec),
      testing::UnorderedElementsAre(
          Breaks("evaluation.patience", "found 3, legal is 0 without held-out samples"),
          Breaks("evaluation.result", "found \"best\", legal is last without held-out samples")));
  spec = LegalSpec();
  spec.dataset.validation_artifact = "held-out.jsonl";
  EXPECT_THAT(ValidateJobSpec(spec),
              ElementsAre(Breaks("dataset.validation_artifact", "found \"held-out.jsonl\"")));
}

TEST(ValidateJobSpecTest, PromptsAreFewAndNotEmpty) {
  JobSpec spec = LegalSpec();
  spec.evaluation.prompts.assign(17, "Hello");
  EXPECT_THAT(ValidateJobSpec(spec),
              ElementsAre(Breaks("evaluation.prompts", "found 17 prompts, legal is at most 16")));
  spec.evaluation.prompts = {"Hello", ""};
  EXPECT_THAT(
      ValidateJobSpec(spec),
      ElementsAre(Breaks("evaluation.prompts", "found a prompt of 0 bytes, legal is 1 to 4096")));
  spec.evaluation.prompts.assign(16, "Hello");
  spec.evaluation.max_new_tokens = 1024;
  EXPECT_THAT(ValidateJobSpec(spec), IsEmpty());
  spec.evaluation.max_new_tokens = 1025;
  EXPECT_THAT(ValidateJobSpec(spec),
              ElementsAre(Breaks("evaluation.max_new_tokens",
                                 "found 1025, legal is at most 1024 with 16 prompts")));
}

TEST(ValidateJobSpecTest, FindsAllViolationsAtOnce) {
  JobSpec spec = LegalSpec();
  spec.model = "";
  spec.method = "prefix";
  spec.training.steps = -1;
  spec.dropbp.drop_rate = 1;
  spec.lora.target_modules = {"w_proj"};
  EXPECT_THAT(
      ValidateJobSpec(spec),
      testing::UnorderedElementsAre(
          Breaks("model", "found \"\", legal is the name of a model folder"),
          Breaks("method", "found \"prefix\", legal is lora, qlora, ia3, prompt_tuning or full"),
          Breaks("training.steps", "found -1, legal is a whole number from 0 to 10000000"),
          Breaks("dropbp.drop_rate", "found 1, legal is a number from 0 to below 1"),
          Breaks("lora.target_modules",
                 "found \"w_proj\", legal is a list of all-linear, q_proj")));
}

TEST(ValidateJobSpecTest, FindsEveryNumberBelowAndAboveItsRange) {
  for (const JobField& field : JobFields()) {
    for (const double value : {field.min - 1, field.max + 1}) {
      JobSpec spec = LegalSpec();
      if (const auto* whole = std::get_if<int64_t& (*)(JobSpec&)>(&field.access)) {
        (*whole)(spec) = static_cast<int64_t>(value);
      } else if (const auto* real = std::get_if<double& (*)(JobSpec&)>(&field.access)) {
        (*real)(spec) = value;
      } else {
        continue;
      }
      EXPECT_THAT(ValidateJobSpec(spec), Contains(Breaks(std::string(field.path), "legal is")))
          << field.path << " = " << value;
    }
  }
}

TEST(ValidateJobSpecTest, RefusesNumbersThatAreNone) {
  JobSpec spec = LegalSpec();
  spec.training.learning_rate = std::nan("");
  spec.lora.alpha = INFINITY;
  EXPECT_THAT(ValidateJobSpec(spec), ElementsAre(Breaks("lora.alpha", "found inf"),
                                                 Breaks("training.learning_rate", "found nan")));
}

TEST(ValidateJobSpecTest, TakesModelsByNameAndNeverByPath) {
  for (const char* name : {"a/b", "..", ".hidden", "/abs", "-flag", "a b", "caf\xc3\xa9"}) {
    JobSpec spec = LegalSpec();
    spec.model = name;
    EXPECT_THAT(ValidateJobSpec(spec), ElementsAre(Breaks("model", "legal is the name"))) << name;
  }
  JobSpec spec = LegalSpec();
  spec.model = "Llama-3.1_8B";
  EXPECT_THAT(ValidateJobSpec(spec), IsEmpty());
}

TEST(ValidateJobSpecTest, TakesArtifactsAsLowerCaseSha256) {
  for (const std::string& sha :
       {std::string(), std::string(63, 'a'), std::string(64, 'A'), std::string(64, 'g')}) {
    JobSpec spec = LegalSpec();
    spec.dataset.artifact = sha;
    EXPECT_THAT(ValidateJobSpec(spec), ElementsAre(Breaks("dataset.artifact", "64 lower-case")))
        << sha;
  }
}

TEST(ValidateJobSpecTest, WantsRanksTimesMicroBatchesToFillTheGlobalBatch) {
  JobSpec spec = LegalSpec();
  spec.resources.ranks = 3;
  EXPECT_THAT(ValidateJobSpec(spec),
              ElementsAre(Breaks("training.global_batch_size",
                                 "found 16, legal is a multiple of resources.ranks * "
                                 "training.micro_batch_size = 3 * 4 = 12")));
  spec.training.global_batch_size = 24;
  EXPECT_THAT(ValidateJobSpec(spec), IsEmpty());
}

TEST(ValidateJobSpecTest, WantsStepsOrEpochs) {
  JobSpec spec = LegalSpec();
  spec.training.epochs = 0;
  EXPECT_THAT(ValidateJobSpec(spec), ElementsAre(Breaks("training.epochs", "above 0")));
  spec.training.steps = 1;
  EXPECT_THAT(ValidateJobSpec(spec), IsEmpty());
}

TEST(ValidateJobSpecTest, WantsTheCapOfOneUnitNotBelowTheTarget) {
  JobSpec spec = LegalSpec();
  spec.dropbp.allocation = "quadratic";
  spec.dropbp.drop_rate = 0.5;
  spec.dropbp.max_unit_rate = 0.4;
  EXPECT_THAT(ValidateJobSpec(spec),
              ElementsAre(Breaks("dropbp.max_unit_rate",
                                 "found 0.4, legal is 0, or dropbp.drop_rate = 0.5 to 1")));
  spec.dropbp.max_unit_rate = 0.5;
  EXPECT_THAT(ValidateJobSpec(spec), IsEmpty());
}

TEST(ValidateJobSpecTest, WantsMaskGroupsToDivideTheMicroBatch) {
  JobSpec spec = LegalSpec();
  for (const int64_t groups : {0, 1, 2, 4}) {
    spec.dropbp.mask_groups = groups;
    EXPECT_THAT(ValidateJobSpec(spec), IsEmpty()) << groups;
  }
  for (const int64_t groups : {3, 8}) {
    spec.dropbp.mask_groups = groups;
    EXPECT_THAT(ValidateJobSpec(spec), ElementsAre(Breaks("dropbp.mask_groups", "legal is")))
        << groups;
  }
}

TEST(ValidateJobSpecTest, RefusesToRescaleExactCotangents) {
  JobSpec spec = LegalSpec();
  spec.dropbp.estimator = "unbiased";
  EXPECT_THAT(ValidateJobSpec(spec), ElementsAre(Breaks("dropbp.estimator", "depth")));
  spec.dropbp.allocation = "neyman";
  EXPECT_THAT(ValidateJobSpec(spec), IsEmpty());
}

TEST(ValidateJobSpecTest, RefusesSettingsOfProbesWhereNothingIsMeasured) {
  JobSpec spec = LegalSpec();
  spec.dropbp.probe_at = 0.2;
  spec.dropbp.probe_every = 10;
  spec.dropbp.probe_samples = 2;
  spec.dropbp.max_unit_rate = 0.9;
  for (const char* allocation : {"depth", "uniform"}) {
    spec.dropbp.allocation = allocation;
    const std::string with = std::string(" with dropbp.allocation ") + allocation;
    EXPECT_THAT(ValidateJobSpec(spec),
                ElementsAre(Breaks("dropbp.max_unit_rate", "found 0.9" + with),
                            Breaks("dropbp.probe_at", "found 0.2" + with),
                            Breaks("dropbp.probe_every", "found 10" + with),
                            Breaks("dropbp.probe_samples", "found 2" + with)));
  }
  for (const char* allocation : {"quadratic", "linear", "neyman"}) {
    spec.dropbp.allocation = allocation;
    EXPECT_THAT(ValidateJobSpec(spec), IsEmpty()) << allocation;
  }
}

TEST(ValidateJobSpecTest, BoundsTheNumberOfProbes) {
  JobSpec spec = LegalSpec();
  spec.dropbp.allocation = "quadratic";
  spec.dropbp.probe_at = 0;
  spec.training.steps = 10 * kMostProbes;
  spec.dropbp.probe_every = 10;
  EXPECT_THAT(ValidateJobSpec(spec), IsEmpty());
  spec.dropbp.probe_every = 9;
  EXPECT_THAT(ValidateJobSpec(spec),
              ElementsAre(Breaks("dropbp.probe_every",
                                 "found 9, legal is 0, or at least 10 in a job of 10240 steps")));
  spec.training.steps = 0;  // not known before the data is
  EXPECT_THAT(ValidateJobSpec(spec), IsEmpty());
}

TEST(CheckProbesTest, CountsFromTheFirstProbe) {
  JobSpec spec = LegalSpec();
  spec.dropbp.allocation = "quadratic";
  spec.dropbp.probe_every = 1;
  spec.dropbp.probe_at = 0.5;
  EXPECT_FALSE(CheckProbes(spec, 2 * kMostProbes).has_value());
  EXPECT_TRUE(CheckProbes(spec, 2 * kMostProbes + 2).has_value());
  spec.dropbp.allocation = "uniform";  // no probes
  EXPECT_FALSE(CheckProbes(spec, kMostSteps).has_value());
}

TEST(ValidateJobSpecTest, WantsTargetModulesThatMakeSenseTogether) {
  JobSpec spec = LegalSpec();
  spec.lora.target_modules = {};
  EXPECT_THAT(ValidateJobSpec(spec), ElementsAre(Breaks("lora.target_modules", "an empty list")));
  spec.lora.target_modules = {"q_proj", "q_proj"};
  EXPECT_THAT(ValidateJobSpec(spec),
              ElementsAre(Breaks("lora.target_modules", "each module once")));
  spec.lora.target_modules = {"all-linear", "q_proj"};
  EXPECT_THAT(ValidateJobSpec(spec),
              ElementsAre(Breaks("lora.target_modules", "all-linear alone")));
  spec.lora.target_modules = {"q_proj", "v_proj"};
  EXPECT_THAT(ValidateJobSpec(spec), IsEmpty());
}

TEST(ValidateJobSpecTest, KnowsTheFieldsOfData) {
  JobSpec spec = LegalSpec();
  spec.dataset.fields = {{"prompt", "question"}, {"completion", ""}, {"answer", "a"}};
  EXPECT_THAT(ValidateJobSpec(spec),
              ElementsAre(Breaks("dataset.fields", "key \"answer\", legal is messages"),
                          Breaks("dataset.fields.completion", "a name of 1 to 128 bytes")));
  spec.dataset.fields = {{"system", "persona"}, {"train", "training"}, {"weight", "w"}};
  EXPECT_THAT(ValidateJobSpec(spec), IsEmpty());
}

TEST(ValidateJobSpecTest, BoundsLabels) {
  JobSpec spec = LegalSpec();
  spec.labels = {{"team", "nlp research"}, {"bad key", "x"}, {"long", std::string(129, 'x')}};
  EXPECT_THAT(ValidateJobSpec(spec),
              ElementsAre(Breaks("labels", "key \"bad key\""), Breaks("labels.long", "128")));
  spec.labels.clear();
  for (int i = 0; i < 33; ++i) spec.labels["k" + std::to_string(i)] = "v";
  EXPECT_THAT(ValidateJobSpec(spec),
              ElementsAre(Breaks("labels", "found 33 labels, legal is at most 32")));
}

TEST(ValidateJobSpecTest, ShowsHostileTextShortAndReadable) {
  JobSpec spec = LegalSpec();
  spec.model = std::string(100000, '\xff');
  const auto violations = ValidateJobSpec(spec);
  ASSERT_THAT(violations, SizeIs(1));
  EXPECT_LT(violations[0].description.size(), 250u);
  EXPECT_THAT(violations[0].description, HasSubstr("????"));
}

TEST(IsLegalJobIdTest, FollowsTheRegularExpression) {
  for (const std::string& id :
       {std::string("a"), std::string("a1"), std::string("my-job-7"), std::string(63, 'a')}) {
    EXPECT_TRUE(IsLegalJobId(id)) << id;
  }
  for (const std::string& id :
       {std::string(""), std::string("1a"), std::string("-a"), std::string("a-"), std::string("A"),
        std::string("a_b"), std::string("a.b"), std::string(64, 'a')}) {
    EXPECT_FALSE(IsLegalJobId(id)) << id;
  }
}

TEST(DescribeViolationsTest, PutsThemInOneLine) {
  EXPECT_EQ(DescribeViolations({{"a", "found 1"}, {"b.c", "found 2"}}), "a: found 1; b.c: found 2");
}

}  // namespace
}  // namespace dropbp
