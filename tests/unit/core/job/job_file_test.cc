#include "core/job/job_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/philox.h"

namespace dropbp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string ErrorOf(std::string_view yaml) {
  const auto job = ParseJobFile(yaml, "job.yaml");
  EXPECT_EQ(job.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(job.status().message());
}

TEST(ParseJobFileTest, ReadsEveryKindOfField) {
  const auto job = ParseJobFile(R"(
name: my-job
model: smollm2
method: full
dataset:
  file: data/train.jsonl
  max_length: 256
  mix:
    data/more.jsonl: .5
training:
  learning_rate: 1e-4
  steps: 20
lora:
  target_modules: [q_proj, v_proj]
dropbp: {drop_rate: .875}
labels:
  team: nlp
  run: 7
)",
                                "job.yaml");
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->spec.dataset.mix.at("data/more.jsonl"), 0.5);
  EXPECT_EQ(job->name, "my-job");
  EXPECT_EQ(job->dataset_file, "data/train.jsonl");
  EXPECT_EQ(job->spec.model, "smollm2");
  EXPECT_EQ(job->spec.method, "full");
  EXPECT_EQ(job->spec.dataset.max_length, 256);
  EXPECT_EQ(job->spec.training.learning_rate, 1e-4);
  EXPECT_EQ(job->spec.training.steps, 20);
  EXPECT_THAT(job->spec.lora.target_modules, ElementsAre("q_proj", "v_proj"));
  EXPECT_EQ(job->spec.dropbp.drop_rate, 0.875);
  EXPECT_THAT(job->spec.labels, ElementsAre(std::pair("run", "7"), std::pair("team", "nlp")));
  EXPECT_EQ(job->spec.training.micro_batch_size, TrainingSpec().micro_batch_size);
}

TEST(ParseJobFileTest, TakesOneWordForAListAndAnEmptySection) {
  const auto job = ParseJobFile("lora:\n  target_modules: all-linear\ntraining:\n", "job.yaml");
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_THAT(job->spec.lora.target_modules, ElementsAre("all-linear"));
}

TEST(ParseJobFileTest, ReadsEveryDropbpField) {
  const auto job = ParseJobFile(R"(model: m
dropbp:
  drop_rate: 0.75
  allocation: neyman
  masks: single
  mask_groups: 2
  estimator: own
  dropped_update: advance
  schedule: ramp
  schedule_share: 0.3
  probe_at: 0.05
  probe_every: 100
  probe_samples: 8
  max_unit_rate: 0.9
)",
                                "job.yaml");
  ASSERT_TRUE(job.ok()) << job.status();
  const DropbpSpec& dropbp = job->spec.dropbp;
  EXPECT_EQ(dropbp.drop_rate, 0.75);
  EXPECT_EQ(dropbp.allocation, "neyman");
  EXPECT_EQ(dropbp.masks, "single");
  EXPECT_EQ(dropbp.mask_groups, 2);
  EXPECT_EQ(dropbp.estimator, "own");
  EXPECT_EQ(dropbp.dropped_update, "advance");
  EXPECT_EQ(dropbp.schedule, "ramp");
  EXPECT_EQ(dropbp.schedule_share, 0.3);
  EXPECT_EQ(dropbp.probe_at, 0.05);
  EXPECT_EQ(dropbp.probe_every, 100);
  EXPECT_EQ(dropbp.probe_samples, 8);
  EXPECT_EQ(dropbp.max_unit_rate, 0.9);
}

TEST(ParseJobFileTest, ListsSeveralProblemsWithTheirLines) {
  EXPECT_EQ(
      ErrorOf(R"(model: m
trainig:
  steps: 3
training:
  learning_rte: 1
  steps: twenty
  seed: -1
dropbp:
  masks: random
)"),
      "job.yaml:2: trainig: unknown field; did you mean training?\n"
      "job.yaml:5: training.learning_rte: unknown field; did you mean training.learning_rate?\n"
      "job.yaml:6: training.steps: found \"twenty\", legal is a whole number from 0 to 10000000\n"
      "job.yaml:7: training.seed: found -1, legal is a whole number from 0 to 9007199254740991\n"
      "job.yaml:9: dropbp.masks: found \"random\", legal is auto, shared, balanced or single");
}

TEST(ParseJobFileTest, SuggestsTheSectionOfAFieldThatStandsOutsideIt) {
  EXPECT_EQ(ErrorOf("learning_rate: 1e-4\n"),
            "job.yaml:1: learning_rate: unknown field; did you mean training.learning_rate?");
}

TEST(ParseJobFileTest, RefusesWrongTypes) {
  EXPECT_EQ(ErrorOf("training: 3\n"),
            "job.yaml:1: training: found \"3\", legal is a mapping of fields");
  EXPECT_EQ(ErrorOf("training:\n  - steps\n"),
            "job.yaml:1: training: found a list, legal is a mapping of fields");
  EXPECT_THAT(ErrorOf("training:\n  steps: [1]\n"),
              HasSubstr("training.steps: found a list, legal is a whole"));
  EXPECT_THAT(ErrorOf("training:\n  steps: 1.5\n"), HasSubstr("training.steps: found \"1.5\""));
  EXPECT_THAT(ErrorOf("training:\n  steps:\n"),
              HasSubstr("job.yaml:2: training.steps: found nothing"));
  EXPECT_THAT(ErrorOf("training:\n  epochs: nan\n"), HasSubstr("training.epochs: found nan"));
  EXPECT_THAT(ErrorOf("model: {a: b}\n"), HasSubstr("model: found a mapping, legal is text"));
  EXPECT_THAT(ErrorOf("lora:\n  target_modules: [[a]]\n"), HasSubstr("found a list in the list"));
  EXPECT_THAT(ErrorOf("lora:\n  rank_pattern:\n    q_proj: many\n"),
              HasSubstr("job.yaml:3: lora.rank_pattern: found \"many\", legal is numbers by"));
  EXPECT_THAT(ErrorOf("labels: x\n"), HasSubstr("labels: found \"x\", legal is key-value pairs"));
  EXPECT_THAT(ErrorOf("labels:\n  a: [b]\n"),
              HasSubstr("job.yaml:2: labels: found a list, legal is text"));
  EXPECT_THAT(ErrorOf("[a, b]: c\n"), HasSubstr("found a list as a key"));
}

TEST(ParseJobFileTest, RefusesIllegalNamesAndEmptyPaths) {
  EXPECT_THAT(ErrorOf("name: My Job\n"),
              HasSubstr("job.yaml:1: name: found \"My Job\", legal is 1 to 63"));
  EXPECT_THAT(ErrorOf("dataset:\n  validation_file: [a]\n"),
              HasSubstr("job.yaml:2: dataset.validation_file: found a list"));
  EXPECT_THAT(ErrorOf("dataset:\n  file: ''\n"), HasSubstr("job.yaml:2: dataset.file: found \"\""));
}

TEST(ParseJobFileTest, RefusesAKeyThatStandsTwice) {
  EXPECT_EQ(ErrorOf("model: a\nmethod: lora\nmodel: b\n"),
            "job.yaml:3: model: found a second time, first in line 1");
}

TEST(ParseJobFileTest, RefusesWhatIsNoJobFile) {
  EXPECT_THAT(ErrorOf(""),
              HasSubstr("job.yaml:1: job file: found nothing, legal is a mapping of fields"));
  EXPECT_THAT(ErrorOf("a: 1\n---\nb: 2\n"),
              HasSubstr("job.yaml:2: job file: found a second YAML document, legal is one"));
  EXPECT_THAT(ErrorOf("- a\n"), HasSubstr("job file: found a list, legal is a mapping of fields"));
  EXPECT_THAT(ErrorOf("model: m\ntraining: {steps: 1\n"), HasSubstr("not YAML"));
  EXPECT_THAT(ErrorOf("model: *nowhere\n"), HasSubstr("not YAML"));
}

TEST(ParseJobFileTest, SurvivesHostileFiles) {
  EXPECT_THAT(ErrorOf(std::string(2 << 20, 'a')), HasSubstr("legal is at most 1048576"));
  EXPECT_THAT(ErrorOf(std::string(100000, '[')), HasSubstr("not YAML"));
  EXPECT_THAT(ErrorOf("training: &a {steps: *a}\n"), HasSubstr("job.yaml:1"));
  EXPECT_THAT(ErrorOf("model: \"\xff\xfe\"\n"), HasSubstr("job.yaml:1"));
  std::string unknown;
  for (int i = 0; i < 1000; ++i) unknown += "zzz" + std::to_string(i) + ": 1\n";
  EXPECT_THAT(ErrorOf(unknown), HasSubstr("and 950 more"));
}

// yaml-cpp 0.7 never comes to the end of this text by itself.
TEST(ParseJobFileTest, ComesToAnEndWhereATokenCannotBeginADocument) {
  EXPECT_THAT(ErrorOf(",name: a\n"), HasSubstr("found a second YAML document"));
}

TEST(ParseJobFileTest, AnswersEveryDamagedFile) {
  const std::string good =
      "name: a\nmodel: m\ndataset: {file: d, max_length: 8}\nlora:\n  target_modules: [q_proj]\n"
      "training:\n  steps: 20 # twenty\n  learning_rate: 1e-4\nlabels: {\"a\": 'b', c: &x d, e: "
      "*x}\n";
  ASSERT_TRUE(ParseJobFile(good, "job.yaml").ok());
  constexpr std::string_view kBytes = "\n\t :-[]{},#&*!|>'\"%@`?a0\\\xff";
  PhiloxStream random(1, 2, 3);
  for (int i = 0; i < 5000; ++i) {
    std::string bad = good;
    for (uint32_t change = 0; change <= random.Below(4); ++change) {
      bad[random.Below(static_cast<uint32_t>(bad.size()))] =
          kBytes[random.Below(static_cast<uint32_t>(kBytes.size()))];
    }
    const auto job = ParseJobFile(bad, "job.yaml");
    if (!job.ok()) {
      EXPECT_THAT(std::string(job.status().message()), testing::StartsWith("job.yaml:")) << bad;
    }
  }
}

}  // namespace
}  // namespace dropbp
