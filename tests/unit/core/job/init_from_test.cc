#include "core/job/init_from.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dropbp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

JobSpec Spec(const std::string& method) {
  JobSpec spec;
  spec.model = "small";
  spec.method = method;
  spec.init_from = "first";
  return spec;
}

std::vector<std::string> Fields(const JobSpec& spec, const JobSpec& earlier) {
  std::vector<std::string> fields;
  for (const FieldViolation& violation : CheckInitFrom(spec, earlier))
    fields.push_back(violation.field);
  return fields;
}

TEST(InitFromTest, NamesAResultOrACheckpoint) {
  EXPECT_EQ(ParseInitFrom("first")->job_id, "first");
  EXPECT_EQ(ParseInitFrom("first")->checkpoint, "");
  for (const char* checkpoint : {"1", "4000", "best", "latest"}) {
    const auto from = ParseInitFrom(std::string("first@") + checkpoint);
    ASSERT_TRUE(from.has_value()) << checkpoint;
    EXPECT_EQ(from->job_id, "first");
    EXPECT_EQ(from->checkpoint, checkpoint);
  }
  for (const char* text : {"", "First", "@4", "first@", "first@0", "first@-1", "first@04",
                           "first@newest", "first@4@5", "first@99999999999999999999"})
    EXPECT_FALSE(ParseInitFrom(text).has_value()) << text;
}

TEST(InitFromTest, TheSameJobAgainFits) {
  for (const char* method : {"lora", "qlora", "ia3", "prompt_tuning", "full"})
    EXPECT_THAT(Fields(Spec(method), Spec(method)), IsEmpty()) << method;
}

TEST(InitFromTest, ALoraAdapterFitsWhateverItsBaseWeightsAreHeldIn) {
  EXPECT_THAT(Fields(Spec("lora"), Spec("qlora")), IsEmpty());
  EXPECT_THAT(Fields(Spec("qlora"), Spec("lora")), IsEmpty());
}

TEST(InitFromTest, HowAJobTrainsMayDiffer) {
  JobSpec spec = Spec("lora");
  spec.lora.dropout = 0.1;
  spec.lora.loraplus_lr_ratio = 16;
  spec.training.learning_rate = 1;
  spec.dropbp.drop_rate = 0.75;
  spec.lora.target_modules = {"v_proj", "q_proj"};
  JobSpec earlier = Spec("lora");
  earlier.lora.target_modules = {"q_proj", "v_proj"};
  EXPECT_THAT(Fields(spec, earlier), IsEmpty());
}

TEST(InitFromTest, AnotherModelOrMethodIsRefused) {
  JobSpec spec = Spec("ia3");
  spec.model = "large";
  EXPECT_THAT(Fields(spec, Spec("lora")), ElementsAre("model", "method"));
  EXPECT_EQ(CheckInitFrom(spec, Spec("lora"))[1].description,
            "found ia3, legal is lora or qlora as in job 'first', which init_from names");
  EXPECT_THAT(Fields(Spec("lora"), Spec("full")), ElementsAre("method"));
  spec.init_from = "first@4";
  EXPECT_THAT(CheckInitFrom(spec, Spec("lora"))[1].description, HasSubstr("in job 'first', which"));
}

TEST(InitFromTest, EverythingThatChangesAnAdapterIsNamed) {
  JobSpec spec = Spec("lora");
  spec.lora.rank = 8;
  spec.lora.alpha = 3;
  spec.lora.use_dora = true;
  spec.lora.use_rslora = true;
  spec.lora.target_modules = {"q_proj"};
  spec.lora.modules_to_save = {"lm_head"};
  spec.lora.rank_pattern = {{"q_proj", 2}};
  spec.lora.alpha_pattern = {{"q_proj", 2}};
  EXPECT_THAT(Fields(spec, Spec("lora")),
              UnorderedElementsAre("lora.rank", "lora.alpha", "lora.use_dora", "lora.use_rslora",
                                   "lora.target_modules", "lora.modules_to_save",
                                   "lora.rank_pattern", "lora.alpha_pattern"));
  EXPECT_EQ(CheckInitFrom(spec, Spec("lora"))[0].description,
            "found 8, legal is 16 as in job 'first', which init_from names");
  JobSpec ia3 = Spec("ia3");
  ia3.ia3.target_modules = {"k_proj"};
  EXPECT_THAT(Fields(ia3, Spec("ia3")), ElementsAre("ia3.target_modules"));
  JobSpec prompt = Spec("prompt_tuning");
  prompt.prompt_tuning.num_virtual_tokens = 3;
  EXPECT_THAT(Fields(prompt, Spec("prompt_tuning")),
              ElementsAre("prompt_tuning.num_virtual_tokens"));
}

}  // namespace
}  // namespace dropbp
