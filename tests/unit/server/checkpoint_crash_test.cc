// A crash at any system call of our own code between the trainer's file and the coordinator's
// record leaves the newest complete checkpoint whole.
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/files.h"
#include "core/checkpoint/manifest.h"
#include "tests/support/crashing_disk.h"
#include "tests/unit/server/cluster_fixture.h"
#include "worker/hf/safetensors.h"

namespace dropbp::server {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kOld = 4;
constexpr int64_t kNew = 8;

class CheckpointCrashTest : public ClusterTest, public ::testing::WithParamInterface<bool> {
 protected:
  // A running job that has a complete checkpoint, and nobody who has its folder open.
  void SetUp() override {
    v1::CreateJobRequest request = Request("job");
    request.mutable_spec()->mutable_checkpoint()->set_keep(1);
    a_.Connect(*coordinator_);
    ASSERT_TRUE(coordinator_->CreateJob(request).ok());
    ASSERT_TRUE(a_.Prepared(*coordinator_, "job").ok());
    for (const int rank : {0, 1}) ASSERT_TRUE(a_.Ready(*coordinator_, "job", 1, rank).ok());
    for (const int rank : {0, 1}) HandOver(a_, "job", 1, rank, kOld, PartContent(rank, kOld));
    coordinator_.reset();
  }

  static std::vector<float> Values(int rank, int64_t step) {
    return std::vector<float>(300, static_cast<float>(step) + static_cast<float>(rank) / 8);
  }

  // As a trainer writes it.
  static absl::Status WritePart(const std::string& path, int rank, int64_t step) {
    const std::vector<float> values = Values(rank, step);
    hf::TensorView view{
        .type = hf::TensorType::kF32,
        .shape = {static_cast<int64_t>(values.size())},
        .data = {reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(float)}};
    return hf::WriteSafetensors(path, {{"value/weight", view}}, {});
  }

  std::string PartContent(int rank, int64_t step) const {
    const std::string path = dir_.path() + "/expected";
    EXPECT_TRUE(WritePart(path, rank, step).ok());
    return *ReadFile(path, 1 << 20);
  }

  static std::string NodeFile(const std::string& folder, int rank) {
    return absl::StrCat(folder, "/node-part-", rank);
  }

  // The new checkpoint from its first byte to its record, in a process that ends on the way.
  [[noreturn]] void Save(const std::string& folder, int calls_left) {
    artifacts_ = ArtifactStore::Open(folder + "/artifacts", 8 << 20).value();
    LogStore logs(folder + "/logs", 1 << 20);
    coordinator_ = Coordinator::Open(options_, JobStore::Open(folder + "/jobs.db").value(),
                                     *artifacts_, logs, clock_)
                       .value();
    a_.Connect(*coordinator_, {Live("job", 1, 0, 0), Live("job", 1, 1, 1)});
    testing::ArmCrash(calls_left, /*power_loss=*/GetParam());
    for (const int rank : {0, 1}) {
      const std::string path = NodeFile(folder, rank);
      if (!WritePart(path, rank, kNew).ok()) _exit(1);
      HandOver(a_, "job", 1, rank, kNew, *ReadFile(path, 1 << 20));
    }
    _exit(HasFailure() || !testing::CrashIsToCome() ? 1 : 0);
  }

  // How the child ended.
  int RunChild(const std::string& folder, int calls_left) {
    const pid_t child = fork();
    if (child == 0) Save(folder, calls_left);
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  // What the next coordinator finds; the step of the newest checkpoint.
  int64_t Check(const std::string& folder) {
    for (const int rank : {0, 1}) {
      const std::string path = NodeFile(folder, rank);
      if (!fs::exists(path)) continue;
      EXPECT_EQ(*ReadFile(path, 1 << 20), PartContent(rank, kNew)) << "a file appears whole";
    }
    const auto artifacts = ArtifactStore::Open(folder + "/artifacts", 8 << 20).value();
    LogStore logs(folder + "/logs", 1 << 20);
    const auto coordinator = Coordinator::Open(
        options_, JobStore::Open(folder + "/jobs.db").value(), *artifacts, logs, clock_);
    EXPECT_TRUE(coordinator.ok()) << coordinator.status();
    const auto list = (*coordinator)->ListCheckpoints("job").value();
    if (list.size() != 1) {
      ADD_FAILURE() << list.size() << " checkpoints";
      return 0;
    }
    EXPECT_EQ((*coordinator)->GetJob("job")->checkpoint().step(), list[0].step());
    CheckFiles(*artifacts, list[0]);
    return list[0].step();
  }

  void CheckFiles(const ArtifactStore& artifacts, const v1::Checkpoint& checkpoint) {
    const auto manifest_file = artifacts.Read(checkpoint.manifest().sha256());
    ASSERT_TRUE(manifest_file.ok()) << manifest_file.status();
    const auto manifest = ParseManifest(*(*manifest_file)->Read(1 << 20));
    ASSERT_TRUE(manifest.ok()) << manifest.status();
    EXPECT_EQ(manifest->step, checkpoint.step());
    for (const int rank : {0, 1}) {
      const auto part = artifacts.Read(manifest->parts[static_cast<size_t>(rank)].sha256);
      ASSERT_TRUE(part.ok()) << part.status();
      EXPECT_EQ(*(*part)->Read(1 << 20), PartContent(rank, checkpoint.step()));
    }
    // The files of the one before went with its record, at the latest when a coordinator began.
    if (checkpoint.step() == kOld) return;
    for (const int rank : {0, 1}) {
      EXPECT_FALSE(artifacts.Has(Sha256Hex(PartContent(rank, kOld))));
    }
  }

  TestAgent a_{"a", 11, 2};
};

TEST_P(CheckpointCrashTest, LeavesTheNewestCompleteOneAtEveryCall) {
  int found_old = 0;
  int found_new = 0;
  for (int calls = 0; calls < 1000; ++calls) {
    SCOPED_TRACE(absl::StrCat("crash at call ", calls));
    const std::string folder = absl::StrCat(dir_.path(), "/after-", calls);
    fs::create_directories(folder);
    for (const char* part : {"artifacts", "jobs.db"}) {
      fs::copy(dir_.path() + "/" + part, folder + "/" + part, fs::copy_options::recursive);
    }
    const int end = RunChild(folder, calls);
    ASSERT_TRUE(end == testing::kCrashed || end == 0) << "the child ended with " << end;
    const int64_t step = Check(folder);
    ASSERT_TRUE(step == kOld || step == kNew) << step;
    ++(step == kOld ? found_old : found_new);
    fs::remove_all(folder);
    if (HasFailure()) return;
    if (end == 0) {
      EXPECT_EQ(step, kNew);
      break;
    }
  }
  EXPECT_GT(found_old, 20) << "crashes before the record";
  EXPECT_GT(found_new, 2) << "crashes after the record, and none";
}

INSTANTIATE_TEST_SUITE_P(With, CheckpointCrashTest, ::testing::Bool(), [](const auto& info) {
  return info.param ? "LossOfPower" : "ProcessesOnly";
});

}  // namespace
}  // namespace dropbp::server
