#include "core/job/job_fields.h"

#include <gtest/gtest.h>

#include <set>

namespace dropbp {
namespace {

bool IsNumber(const JobField& field) {
  return std::holds_alternative<int64_t& (*)(JobSpec&)>(field.access) ||
         std::holds_alternative<double& (*)(JobSpec&)>(field.access);
}

TEST(JobFieldsTest, HasEveryPathOnceAndAMeaningForIt) {
  std::set<std::string_view> paths;
  for (const JobField& field : JobFields()) {
    EXPECT_TRUE(paths.insert(field.path).second) << field.path;
    EXPECT_TRUE(field.meaning.ends_with(".")) << field.path;
  }
}

TEST(JobFieldsTest, BoundsEveryNumber) {
  for (const JobField& field : JobFields()) {
    if (!IsNumber(field)) continue;
    EXPECT_LT(field.min, field.max) << field.path;
    EXPECT_LT(field.max, std::numeric_limits<double>::infinity()) << field.path;
    EXPECT_GT(field.min, -std::numeric_limits<double>::infinity()) << field.path;
  }
}

TEST(JobFieldsTest, HasLegalDefaults) {
  const JobSpec defaults;
  for (const JobField& field : JobFields()) {
    const auto violation = CheckJobField(field, defaults);
    EXPECT_FALSE(violation) << violation->field << ": " << violation->description;
  }
}

TEST(JobFieldsTest, ReachesADifferentMemberForEachField) {
  JobSpec spec;
  std::set<const void*> members;
  for (const JobField& field : JobFields()) {
    const void* member = std::visit(
        [&](auto access) { return static_cast<const void*>(&access(spec)); }, field.access);
    EXPECT_TRUE(members.insert(member).second) << field.path;
  }
}

TEST(FindJobFieldTest, FindsByThePathOnly) {
  ASSERT_NE(FindJobField("training.learning_rate"), nullptr);
  EXPECT_EQ(FindJobField("training.learning_rate")->path, "training.learning_rate");
  EXPECT_EQ(FindJobField("learning_rate"), nullptr);
  EXPECT_EQ(FindJobField("training"), nullptr);
}

TEST(NearestJobFieldTest, FindsWhatWasMeant) {
  EXPECT_EQ(NearestJobField("training.learning_rte"), "training.learning_rate");
  EXPECT_EQ(NearestJobField("learning_rate"), "training.learning_rate");
  EXPECT_EQ(NearestJobField("Training.Learning-Rate"), "training.learning_rate");
  EXPECT_EQ(NearestJobField("lora.learning_rate"), "training.learning_rate");
  EXPECT_EQ(NearestJobField("dropbp.droprate"), "dropbp.drop_rate");
  EXPECT_EQ(NearestJobField("trainig"), "training");
  EXPECT_EQ(NearestJobField("nmae"), "name");
  EXPECT_EQ(NearestJobField("datset.file"), "dataset.file");
  EXPECT_EQ(NearestJobField("modle"), "model");
}

TEST(NearestJobFieldTest, KnowsWhatOthersCallAField) {
  EXPECT_EQ(NearestJobField("training.lr"), "training.learning_rate");
  EXPECT_EQ(NearestJobField("lora.r"), "lora.rank");
  EXPECT_EQ(NearestJobField("lora_alpha"), "lora.alpha");
  EXPECT_EQ(NearestJobField("base_model"), "model");
  EXPECT_EQ(NearestJobField("datasets"), "dataset.file");
  EXPECT_EQ(NearestJobField("sequence_len"), "dataset.max_length");
  EXPECT_EQ(NearestJobField("num_train_epochs"), "training.epochs");
  EXPECT_EQ(NearestJobField("training.gradient_accumulation_steps"), "training.global_batch_size");
  EXPECT_EQ(NearestJobField("gradient_checkpointing"), "training.activation_checkpointing");
  EXPECT_EQ(NearestJobField("save_total_limit"), "checkpoint.keep");
}

TEST(NearestJobFieldTest, IsSilentWhenNothingIsNear) {
  EXPECT_EQ(NearestJobField("quantum_flux"), "");
  EXPECT_EQ(NearestJobField(std::string(100000, 'x')), "");
  EXPECT_EQ(NearestJobField(""), "");
}

TEST(LegalValuesTest, ReadsLikeASentence) {
  EXPECT_EQ(LegalValues(*FindJobField("training.steps")), "a whole number from 0 to 10000000");
  EXPECT_EQ(LegalValues(*FindJobField("dropbp.drop_rate")), "a number from 0 to below 1");
  EXPECT_EQ(LegalValues(*FindJobField("training.epsilon")), "a number from 1e-16 to 1");
  EXPECT_EQ(LegalValues(*FindJobField("method")), "lora, qlora, ia3, prompt_tuning or full");
  EXPECT_EQ(LegalValues(*FindJobField("lora.use_dora")), "true or false");
  EXPECT_EQ(LegalValues(*FindJobField("lora.rank_pattern")), "numbers by name");
  EXPECT_EQ(LegalValues(*FindJobField("dtype")), "auto, fp32 or bf16");
}

}  // namespace
}  // namespace dropbp
