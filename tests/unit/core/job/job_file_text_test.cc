#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/job/job_file.h"
#include "core/job/job_values.h"
#include "tests/unit/core/job/legal_spec.h"

namespace dropbp {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

JobSpec Reread(const JobSpec& spec) {
  const std::string text = FormatJobFile(spec);
  const auto job = ParseJobFile(text, "job.yaml");
  EXPECT_TRUE(job.ok()) << job.status() << "\n" << text;
  return job.ok() ? job->spec : JobSpec();
}

// Another value that the table allows.
void Change(const JobField& field, JobSpec& spec) {
  struct Changer {
    const JobField& field;
    JobSpec& spec;
    void operator()(std::string& (*access)(JobSpec&)) const {
      const auto& words = field.choices;
      std::string& value = access(spec);
      value = words.empty() ? "two words" : value == words[0] ? words[1] : words[0];
    }
    void operator()(int64_t& (*access)(JobSpec&)) const {
      access(spec) = static_cast<int64_t>(field.max);
    }
    void operator()(double& (*access)(JobSpec&)) const { access(spec) += 1.0 / 3e5; }
    void operator()(bool& (*access)(JobSpec&)) const { access(spec) = !access(spec); }
    void operator()(std::map<std::string, double>& (*access)(JobSpec&)) const {
      access(spec) = {{R"(.*mlp\.(up|down)_proj)", 0.1}, {"12e4", 3}};
    }
    void operator()(std::vector<std::string>& (*access)(JobSpec&)) const {
      const auto& words = field.choices;
      access(spec) = {"one", "two words"};
      if (!words.empty()) access(spec) = {std::string(words.front()), std::string(words.back())};
    }
    void operator()(std::map<std::string, std::string>& (*access)(JobSpec&)) const {
      access(spec) = {{"team", "nlp"}, {"a.b", "7"}};
    }
  };
  std::visit(Changer{field, spec}, field.access);
}

TEST(FormatJobFileTest, EveryFieldIsReadBack) {
  for (const JobField& field : JobFields()) {
    JobSpec spec = LegalSpec();
    const std::string before = FormatField(field, spec);
    Change(field, spec);
    ASSERT_FALSE(CheckJobField(field, spec).has_value()) << field.path;
    EXPECT_NE(FormatField(field, spec), before) << field.path;
    const JobSpec read = Reread(spec);
    for (const JobField& other : JobFields())
      EXPECT_EQ(FormatField(other, read), FormatField(other, spec)) << other.path;
  }
}

TEST(FormatJobFileTest, TextThatMeansSomethingInYamlIsReadBack) {
  JobSpec spec = LegalSpec();
  spec.evaluation.prompts = {"a, b",
                             "~",
                             "null",
                             "",
                             "- x: [1] # no comment",
                             "1e3",
                             "two\nlines",
                             "\t",
                             "“quoted” 'it' \"is\"",
                             "&a *b !c | >",
                             "true",
                             " edges ",
                             "\xf0\x9f\x99\x82",
                             "\\n",
                             "\x7f\x01"};
  spec.labels = {{"no: key", "yes"}, {"~", "~"}, {"", ""}, {"? x", "- y"}};
  const JobSpec read = Reread(spec);
  EXPECT_EQ(read.evaluation.prompts, spec.evaluation.prompts);
  EXPECT_EQ(read.labels, spec.labels);
}

TEST(FormatJobFileTest, SaysNoMoreThanWhatIsNotTheDefault) {
  JobSpec spec = LegalSpec();
  spec.training.learning_rate = 1e-4;
  spec.lora.target_modules = {"q_proj", "v_proj"};
  EXPECT_EQ(FormatJobFile(spec),
            "model: smollm2-135m-instruct\ndataset:\n  artifact: " + std::string(64, 'a') +
                "\nlora:\n  target_modules: [q_proj, v_proj]\ntraining:\n  "
                "learning_rate: 0.0001\n");
  EXPECT_THAT(FormatJobFile(spec), Not(HasSubstr("name")));
}

}  // namespace
}  // namespace dropbp
