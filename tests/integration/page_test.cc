// The coordinator's page in a real browser, during and after a real job: its numbers are GetJob's.
#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "tests/integration/cluster_test.h"

namespace dropbp::testing {
namespace {

using ::nlohmann::json;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr double kLeastContrast = 4.5;  // WCAG 2.1, AA, for text of normal size

class PageTest : public ClusterTest {
 protected:
  void SetUp() override {
    ClusterTest::SetUp();
    if (IsSkipped()) return;
    StartCluster({.metrics = true});
    EXPECT_THAT(cluster().FileContent("coordinator.err"),
                HasSubstr("page and metrics at " + PageUrl() + "\n"));
  }

  std::string PageUrl() { return absl::StrCat("http://", cluster().metrics_addresses()[0], "/"); }

  // Starts the reader of the page; its output is in `<state>.out`.
  std::unique_ptr<ChildProcess> OpenPage(const std::string& job_id, const std::string& state) {
    auto reader = cluster().RunProgram(
        state,
        {RequiredEnvironment("DROPBP_ORACLES") + "/bin/python",
         RequiredEnvironment("DROPBP_SOURCE_DIR") + "/tests/integration/look_at_page.py", PageUrl(),
         job_id, state, RequiredEnvironment("DROPBP_BIN_DIR") + "/../page-screenshots"});
    EXPECT_TRUE(reader.ok()) << reader.status();
    return *std::move(reader);
  }

  // What the reader saw.
  json Seen(ChildProcess& reader, const std::string& state) {
    const auto end = reader.WaitForEnd(kPatience);
    EXPECT_TRUE(end.ok() && end->exit_code == 0) << cluster().FileContent(state + ".err");
    return json::parse(cluster().FileContent(state + ".out"), nullptr, false);
  }

  // The progress that the service told at each step until the job's end.
  std::map<int64_t, v1::JobProgress> WatchToEnd(const std::string& job_id) {
    std::map<int64_t, v1::JobProgress> told;
    const auto end = cluster().client().WatchToEnd(
        job_id, 0, absl::Now() + kPatience, [&told](const v1::JobEvent& event) {
          if (event.type() == v1::JobEvent::STEP) told[event.progress().step()] = event.progress();
        });
    EXPECT_TRUE(end.ok()) << end.status();
    return told;
  }
};

double ValueOf(const json& fields, const std::string& name) {
  double value = -1;
  EXPECT_TRUE(fields.contains(name) && absl::SimpleAtod(fields[name][0].get<std::string>(), &value))
      << name << " in " << fields;
  return value;
}

std::string TextOf(const json& fields, const std::string& name) {
  return fields.contains(name) ? fields[name][1].get<std::string>() : "";
}

// Values that follow from rank 0's newest step, and so belong to that step's number.
void ExpectSameStep(const json& fields, const v1::JobProgress& progress) {
  EXPECT_EQ(ValueOf(fields, "step"), static_cast<double>(progress.step()));
  EXPECT_EQ(ValueOf(fields, "loss"), progress.loss());
  EXPECT_EQ(ValueOf(fields, "tokens_per_second"), progress.tokens_per_second());
  EXPECT_EQ(TextOf(fields, "loss"), absl::StrFormat("%.4f", progress.loss()));
}

void ExpectSound(const json& seen) {
  EXPECT_THAT(seen["complaints"], IsEmpty()) << seen["complaints"];
  EXPECT_EQ(seen["cookies"], "");
  EXPECT_EQ(seen["screens"].size(), 8);
  for (const json& screen : seen["screens"]) {
    EXPECT_LE(screen["content_width"], screen["width"]) << screen;
    EXPECT_GE(screen["contrast"], kLeastContrast) << screen;
  }
}

TEST_F(PageTest, ItsNumbersAreGetJobsDuringAndAfterAJob) {
  JobSpec spec = TinyJob();
  spec.training.steps = 400;
  spec.dataset.validation_share = 0.125;
  ASSERT_OK_AND_ASSIGN(const std::string id, cluster().Submit(spec, data_, "seen"));
  const auto during = OpenPage(id, "Running");
  const std::map<int64_t, v1::JobProgress> told = WatchToEnd(id);
  const json running = Seen(*during, "Running");
  ASSERT_TRUE(running.is_object());
  ExpectSound(running);
  const auto step = told.find(static_cast<int64_t>(ValueOf(running["fields"], "step")));
  ASSERT_TRUE(told.count(1) == 1 && told.count(2) == 1);
  ASSERT_NE(step, told.end()) << running["fields"];
  EXPECT_LT(step->first, 400);
  ExpectSameStep(running["fields"], step->second);
  EXPECT_EQ(ValueOf(running["fields"], "learning_rate"), step->second.learning_rate());
  // Summed over all ranks; the other rank may be a step ahead.
  EXPECT_NEAR(ValueOf(running["fields"], "realised_drop_rate"), step->second.realised_drop_rate(),
              1e-9);

  const auto after = OpenPage(id, "Succeeded");
  const json ended = Seen(*after, "Succeeded");
  ASSERT_TRUE(ended.is_object());
  ExpectSound(ended);
  ASSERT_OK_AND_ASSIGN(const v1::Job job, cluster().client().GetJob(id));
  const json& fields = ended["fields"];
  ExpectSameStep(fields, job.progress());
  EXPECT_EQ(ValueOf(fields, "learning_rate"), job.progress().learning_rate());
  EXPECT_EQ(ValueOf(fields, "realised_drop_rate"), job.progress().realised_drop_rate());
  EXPECT_EQ(ValueOf(fields, "backward_flops_saved"), job.progress().backward_flops_saved());
  EXPECT_EQ(ValueOf(fields, "validation_loss"), job.progress().evaluation().loss());
  EXPECT_EQ(ended["validations"], 10) << "a tenth of the job between two";
  EXPECT_EQ(ValueOf(fields, "planned_drop_rate"), job.plan().planned_drop_rate());
  EXPECT_EQ(ended["units"], job.plan().units_size());
  for (const v1::UnitPlan& unit : job.plan().units()) {
    const std::string name =
        absl::StrCat("-", unit.layer(), "-", v1::UnitPlan::Kind_Name(unit.kind()));
    EXPECT_EQ(ValueOf(fields, "drop_rate" + name), unit.drop_rate());
    EXPECT_EQ(ValueOf(fields, "sensitivity" + name), unit.sensitivity());
  }
  ExpectSameStep(ended["row"], job.progress());
  EXPECT_EQ(ended["row_state"], "Succeeded");
  EXPECT_EQ(ValueOf(ended["row"], "realised_drop_rate"), job.progress().realised_drop_rate());
  EXPECT_EQ(ended["keys"][0], absl::StrFormat("%.4f at step 1", told.at(1).loss()));
  EXPECT_EQ(ended["keys"][1], absl::StrFormat("%.4f at step 2", told.at(2).loss()));
  EXPECT_THAT(ended["tabs"].get<std::vector<std::string>>(), Contains(id));
}

}  // namespace
}  // namespace dropbp::testing
