#include "worker/data/prompt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/worker/data/tiny_model.h"

namespace dropbp::data {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

TEST(PromptTest, IsOneUserTurnReadyForTheAnswer) {
  TemporaryFolder folder;
  WriteTinyModel(folder);
  EXPECT_EQ(RenderPrompt(folder.path(), "Hello").value(),
            "<|start|>user\nHello<|end|>\n<|start|>assistant\n");
  const auto prompts = EncodeEvaluationPrompts({"Hello", "Again"}, folder.path());
  ASSERT_TRUE(prompts.ok()) << prompts.status();
  ASSERT_THAT(*prompts, SizeIs(2));
  EXPECT_EQ((*prompts)[1].front(), kTurnStart);
}

TEST(PromptTest, IsAsItIsWithoutATemplate) {
  TemporaryFolder folder;
  WriteTinyModel(folder, /*chat_template=*/"");
  EXPECT_EQ(RenderPrompt(folder.path(), "Hello").value(), "Hello");
  EXPECT_TRUE(absl::IsNotFound(RenderPrompt(folder.path(), "Hello", true).status()));
}

TEST(PromptTest, AnErrorNamesTheFieldAndThePrompt) {
  TemporaryFolder folder;
  WriteTinyModel(folder,
                 "{% if messages[0].content == 'No' %}{{ raise_exception('not that') }}{% endif %}"
                 "{{ messages[0].content }}");
  const absl::Status status = EncodeEvaluationPrompts({"Yes", "No"}, folder.path()).status();
  EXPECT_THAT(std::string(status.message()), StartsWith("evaluation.prompts: prompt 2: "));
  EXPECT_THAT(std::string(status.message()), HasSubstr("not that"));
}

}  // namespace
}  // namespace dropbp::data
