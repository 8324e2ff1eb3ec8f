// A crash at any system call of the thread that writes checkpoints while training goes on: a part
// is there whole or not at all, and those before it stay.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/files.h"
#include "tests/support/crashing_disk.h"
#include "worker/trainer/checkpoint/checkpoint_writer.h"

namespace dropbp::trainer {
namespace {

namespace fs = std::filesystem;

class CheckpointWriterCrashTest : public ::testing::TestWithParam<bool> {
 protected:
  CheckpointWriterCrashTest() { EXPECT_NE(mkdtemp(folder_.data()), nullptr); }
  ~CheckpointWriterCrashTest() override { fs::remove_all(folder_); }

  static CheckpointPartData Part(int64_t step) {
    return {.owner = {.identity = "test"},
            .state = {{.next_step = step}},
            .tensors = {{ValueName("weight"), at::full({300}, static_cast<double>(step))}}};
  }

  static std::string Path(const std::string& output, int64_t step) {
    return absl::StrCat(output, "/checkpoints/step-", step, ".safetensors");
  }

  std::string Content(int64_t step) const {
    const std::string path = folder_ + "/expected";
    EXPECT_TRUE(WritePart(path, Part(step)).ok());
    return *ReadFile(path, 1 << 20);
  }

  // Writes three parts, as training would have it; the process may end after the first one.
  [[noreturn]] static void Write(const std::string& output, int calls_left, bool power_loss) {
    Assignment assignment;
    assignment.output_dir = output;
    MemoryLink link(assignment, nullptr);
    CheckpointWriter writer(&link);
    writer.Start(Part(2));
    writer.Wait();
    testing::ArmCrash(calls_left, power_loss);
    writer.Start(Part(4));
    writer.Start(Part(6));
    writer.Wait();
    for (const CheckpointReport& report : link.checkpoints) {
      if (report.file.empty()) _exit(1);
    }
    _exit(testing::CrashIsToCome() ? 0 : 1);
  }

  static int RunChild(const std::string& output, int calls_left) {
    const pid_t child = fork();
    if (child == 0) Write(output, calls_left, GetParam());
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  std::string folder_ = ::testing::TempDir() + "writer_XXXXXX";
};

TEST_P(CheckpointWriterCrashTest, APartIsThereWholeOrNotAtAll) {
  int found[] = {0, 0, 0};  // ends with so many parts, less one
  for (int calls = 0; calls < 1000; ++calls) {
    SCOPED_TRACE(absl::StrCat("crash at call ", calls));
    const std::string output = absl::StrCat(folder_, "/", calls);
    const int end = RunChild(output, calls);
    ASSERT_TRUE(end == testing::kCrashed || end == 0) << "the child ended with " << end;
    int parts = 0;
    while (parts < 3 && fs::exists(Path(output, 2 * parts + 2))) ++parts;
    ASSERT_GE(parts, 1);
    for (int part = 0; part < 3; ++part) {
      const std::string path = Path(output, 2 * part + 2);
      ASSERT_EQ(fs::exists(path), part < parts) << path;
      if (part >= parts) continue;
      EXPECT_EQ(*ReadFile(path, 1 << 20), Content(2 * part + 2)) << path;
    }
    ++found[parts - 1];
    if (end != 0) continue;
    EXPECT_EQ(parts, 3);
    break;
  }
  for (const int ends : found) EXPECT_GT(ends, 2);
}

INSTANTIATE_TEST_SUITE_P(With, CheckpointWriterCrashTest, ::testing::Bool(), [](const auto& info) {
  return info.param ? "LossOfPower" : "ProcessesOnly";
});

}  // namespace
}  // namespace dropbp::trainer
