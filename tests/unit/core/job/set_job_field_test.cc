#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/job/job_file.h"

namespace dropbp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string ErrorOfSetting(std::string_view assignment) {
  JobFile job;
  const absl::Status status = SetJobField(assignment, job);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << assignment;
  return std::string(status.message());
}

TEST(SetJobFieldTest, SetsEveryKindOfField) {
  JobFile job;
  for (const char* assignment :
       {"name=run-2", "dataset.file=a=b.jsonl", "dataset.validation_file=c.jsonl",
        "training.steps=20", "training.learning_rate=3e-5", "method=full",
        "lora.target_modules=q_proj,v_proj", "labels.team=nlp", "dataset.fields.prompt=question",
        "lora.use_rslora=true", "lora.alpha_pattern.layers.0.mlp.up_proj=0.5"}) {
    EXPECT_TRUE(SetJobField(assignment, job).ok()) << assignment;
  }
  EXPECT_EQ(job.name, "run-2");
  EXPECT_EQ(job.dataset_file, "a=b.jsonl");
  EXPECT_EQ(job.validation_file, "c.jsonl");
  EXPECT_EQ(job.spec.training.steps, 20);
  EXPECT_EQ(job.spec.training.learning_rate, 3e-5);
  EXPECT_EQ(job.spec.method, "full");
  EXPECT_THAT(job.spec.lora.target_modules, ElementsAre("q_proj", "v_proj"));
  EXPECT_THAT(job.spec.labels, ElementsAre(std::pair("team", "nlp")));
  EXPECT_THAT(job.spec.dataset.fields, ElementsAre(std::pair("prompt", "question")));
  EXPECT_TRUE(job.spec.lora.use_rslora);
  EXPECT_THAT(job.spec.lora.alpha_pattern, ElementsAre(std::pair("layers.0.mlp.up_proj", 0.5)));
}

TEST(SetJobFieldTest, TakesListsInBracketsWhereElementsHaveCommas) {
  JobFile job;
  ASSERT_TRUE(SetJobField("evaluation.prompts=[\"Hello, who?\", Why]", job).ok());
  EXPECT_THAT(job.spec.evaluation.prompts, ElementsAre("Hello, who?", "Why"));
  ASSERT_TRUE(SetJobField("lora.target_modules=[q_proj,v_proj]", job).ok());
  EXPECT_THAT(job.spec.lora.target_modules, ElementsAre("q_proj", "v_proj"));
  EXPECT_THAT(ErrorOfSetting("lora.target_modules=[q_proj"), HasSubstr("legal is a list"));
  EXPECT_THAT(ErrorOfSetting("lora.target_modules=[[q_proj]]"), HasSubstr("legal is a list"));
  EXPECT_THAT(ErrorOfSetting("lora.target_modules=[x_proj]"), HasSubstr("found \"x_proj\""));
}

TEST(SetJobFieldTest, SaysWhatIsWrong) {
  EXPECT_EQ(ErrorOfSetting("training.steps=abc"),
            "training.steps: found \"abc\", legal is a whole number from 0 to 10000000");
  EXPECT_EQ(ErrorOfSetting("training.step=1"),
            "training.step: unknown field; did you mean training.steps?");
  EXPECT_EQ(ErrorOfSetting("dropbp.drop_rate=1"),
            "dropbp.drop_rate: found 1, legal is a number from 0 to below 1");
  EXPECT_THAT(ErrorOfSetting("training.steps"), HasSubstr("legal is field=value"));
  EXPECT_THAT(ErrorOfSetting("=5"), HasSubstr("legal is field=value"));
  EXPECT_THAT(ErrorOfSetting("name=Bad Name"), HasSubstr("name: found \"Bad Name\""));
  EXPECT_THAT(ErrorOfSetting("lora.target_modules="), HasSubstr("lora.target_modules: found \"\""));
  EXPECT_THAT(ErrorOfSetting("lora.rank_pattern.q_proj=many"),
              HasSubstr("lora.rank_pattern: found \"many\", legal is numbers by name"));
  EXPECT_THAT(ErrorOfSetting("lora.use_dora=yes"),
              HasSubstr("lora.use_dora: found \"yes\", legal is true or false"));
  EXPECT_THAT(ErrorOfSetting("labels=x"),
              HasSubstr("labels: found \"x\", legal is key-value pairs"));
  EXPECT_THAT(ErrorOfSetting("training.steps= 5"), HasSubstr("found \" 5\""));
  EXPECT_THAT(ErrorOfSetting("training.steps=99999999999999999999"),
              HasSubstr("found \"99999999999999999999\""));
}

TEST(SetJobFieldTest, LeavesTheFieldAsItWasWhenItFails) {
  JobFile job;
  job.spec.training.steps = 7;
  EXPECT_FALSE(SetJobField("training.steps=-1", job).ok());
  EXPECT_EQ(job.spec.training.steps, 7);
}

}  // namespace
}  // namespace dropbp
