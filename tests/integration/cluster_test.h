// The base of tests on a cluster of real processes: every test ends with all programs stopped in
// good order and no process left.
#pragma once

#include <gmock/gmock.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/cluster.h"
#include "tests/support/status_matchers.h"
#include "tests/support/step_history.h"
#include "tests/support/test_data.h"

namespace dropbp::testing {

class ClusterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (TrainerProgram().empty()) {
      GTEST_SKIP() << "no dropbp-trainer in this build; set DROPBP_TRAINER to one";
    }
  }

  void StartCluster(const ClusterOptions& options = {}) {
    ASSERT_OK_AND_ASSIGN(cluster_, Cluster::Start(options));
  }

  void TearDown() override {
    if (cluster_ == nullptr || HasFatalFailure()) return;
    EXPECT_TRUE(Stopped());
  }

  Cluster& cluster() { return *cluster_; }

  // Trains `spec` to its end with nothing going wrong; what other runs are compared with.
  v1::Job RunUndisturbed(const JobSpec& spec) {
    const auto id = cluster().Submit(spec, data_);
    EXPECT_TRUE(id.ok()) << id.status();
    const auto job = id.ok() ? cluster().WaitForEnd(*id) : absl::StatusOr<v1::Job>(id.status());
    EXPECT_TRUE(job.ok()) << job.status();
    if (!job.ok()) return {};
    EXPECT_EQ(job->state(), v1::Job::SUCCEEDED) << job->state_message();
    return *job;
  }

  // SHA-256 of the adapter's weights; empty if there is none.
  static std::string AdapterHash(const v1::Job& job) {
    for (const v1::Artifact& artifact : job.artifacts()) {
      if (artifact.name() == "adapter_model.safetensors") return artifact.sha256();
    }
    return "";
  }

  // Runs a program to its end; its exit code. Where its output goes: Cluster::RunProgram.
  int Run(const std::string& name, std::vector<std::string> arguments) {
    const auto process = cluster().RunProgram(name, std::move(arguments));
    EXPECT_TRUE(process.ok()) << process.status();
    if (!process.ok()) return -1;
    const auto end = (*process)->WaitForEnd(kPatience);
    EXPECT_TRUE(end.ok()) << end.status();
    return end.ok() ? end->exit_code : -1;
  }

  // Runs the command line.
  int Dropbp(const std::string& name, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), RequiredEnvironment("DROPBP_BIN_DIR") + "/dropbp");
    return Run(name, std::move(arguments));
  }

  // What a trainer wrote, from the work folder of the worker that ran it; empty if there is none.
  std::string NodeLog(int worker, const std::string& job_id, int rank, int attempt = 1) {
    return cluster().FileContent(absl::StrCat("work-", worker, "/jobs/", job_id, "/attempt-",
                                              attempt, "/rank-", rank, ".log"));
  }

  // The coordinator's record holds every step once, whatever attempt made it.
  void ExpectRecordOfEachStepOnce(const std::string& job_id, int64_t steps) {
    ASSERT_OK_AND_ASSIGN(const auto history,
                         ReadStepHistory(cluster().data_dir().string(), job_id));
    EXPECT_TRUE(EachStepOnce(history, steps));
  }

  const std::string data_ = TinyDataset(64);

 private:
  ::testing::AssertionResult Stopped() {
    const absl::Status status = cluster_->StopAll();
    if (status.ok()) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << status;
  }

  std::unique_ptr<Cluster> cluster_;
};

}  // namespace dropbp::testing
