#include "worker/trainer/generate/greedy.h"

#include <gtest/gtest.h>

#include "tests/unit/worker/trainer/model/small_decoder.h"
#include "worker/trainer/generate/answer_match.h"
#include "worker/trainer/generate/evaluate.h"

namespace dropbp::trainer {
namespace {

using Ids = std::vector<data::TokenId>;

// Without a cache: the whole sequence again for each token.
Ids Slowly(Decoder& decoder, Ids ids, int count) {
  Ids answer;
  for (int i = 0; i < count && (answer.empty() || answer.back() != 2); ++i) {
    at::Tensor row = at::empty({1, static_cast<int64_t>(ids.size())}, at::kLong);
    for (size_t j = 0; j < ids.size(); ++j) row[0][j] = ids[j];
    const at::Tensor hidden = decoder.Forward(row, {});
    const at::Tensor logits = decoder.Logits(hidden.select(1, hidden.size(1) - 1));
    answer.push_back(static_cast<data::TokenId>(logits.argmax(-1).item<int64_t>()));
    ids.push_back(answer.back());
  }
  return answer;
}

class GreedyTest : public ::testing::TestWithParam<const char*> {};

// Windows are shorter than prompts and answers together.
TEST_P(GreedyTest, EachPromptOfABatchGetsTheTokensItGetsAlone) {
  const auto decoder = SmallDecoder(SmallOptions("full"), GetParam());
  const std::vector<Ids> prompts = {
      {5, 6, 7, 8, 9, 10, 11}, {12}, {50, 51, 52}, {99, 3, 4, 40, 77}};
  const std::vector<Ids> answers = GenerateGreedily(*decoder, prompts, 20);
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < prompts.size(); ++i)
    EXPECT_EQ(answers[i], Slowly(*decoder, prompts[i], 20)) << i;
}

// Virtual tokens lie between a shorter prompt's padding and its first token.
TEST(GreedyPromptTest, VirtualTokensOfABatchDoWhatTheyDoAlone) {
  const auto decoder = SmallDecoder(SmallOptions("prompt_tuning"));
  const std::vector<Ids> prompts = {{5, 6, 7, 8, 9, 10, 11}, {12}, {50, 51, 52}};
  const std::vector<Ids> answers = GenerateGreedily(*decoder, prompts, 20);
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < prompts.size(); ++i)
    EXPECT_EQ(answers[i], Slowly(*decoder, prompts[i], 20)) << i;
}

INSTANTIATE_TEST_SUITE_P(Families, GreedyTest, ::testing::ValuesIn(kSmallFamilies),
                         [](const auto& info) { return std::string(info.param); });

TEST(GreedyAnswersTest, AnswersEndAtTheLimitOrAtAnEndToken) {
  const auto decoder = SmallDecoder(SmallOptions("full"));
  EXPECT_TRUE(GenerateGreedily(*decoder, {{5}}, 0).front().empty());
  EXPECT_EQ(GenerateGreedily(*decoder, {{5}}, 1).front().size(), 1u);
  EXPECT_TRUE(GenerateGreedily(*decoder, {}, 5).empty());
  int looks = 0;
  EXPECT_EQ(GenerateGreedily(*decoder, {{5}}, 9, [&] { return ++looks == 4; }).front().size(), 3u);
}

TEST(AnswerMatchTest, ComparesTrimmedTextsAndJsonValues) {
  EXPECT_TRUE(AnswersMatch("yes", " yes\n"));
  EXPECT_FALSE(AnswersMatch("yes", "Yes"));
  EXPECT_TRUE(AnswersMatch(R"({"a": 1, "b": [true]})", R"({"b":[true],"a":1})"));
  EXPECT_FALSE(AnswersMatch(R"({"a": 1})", R"({"a": 2})"));
  EXPECT_FALSE(AnswersMatch(R"({"a": 1})", "not JSON"));
  EXPECT_FALSE(AnswersMatch("1", "1.0"));
}

TEST(EvaluateTest, TakesNamesOfFieldsAsAJobDoes) {
  const auto names = FieldNames({"prompt=question", "completion=answer"});
  ASSERT_TRUE(names.ok()) << names.status();
  EXPECT_EQ(*names,
            (std::map<std::string, std::string>{{"completion", "answer"}, {"prompt", "question"}}));
  EXPECT_TRUE(FieldNames({})->empty());
  for (const char* wrong : {"question", "query=question", "prompt="})
    EXPECT_TRUE(absl::IsInvalidArgument(FieldNames({wrong}).status())) << wrong;
}

}  // namespace
}  // namespace dropbp::trainer
