// What the agent reads from its surroundings: command line, devices, model folders, its own folder.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "tests/unit/worker/agent/temp_folder.h"
#include "worker/agent/devices.h"
#include "worker/agent/models.h"
#include "worker/agent/nvml.h"
#include "worker/agent/options.h"
#include "worker/agent/work_folder.h"

namespace dropbp::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

CommandLine Parse(std::vector<std::string> arguments) {
  std::vector<char*> argv = {const_cast<char*>("dropbp-worker")};
  for (std::string& argument : arguments) argv.push_back(argument.data());
  return ParseCommandLine(static_cast<int>(argv.size()), argv.data());
}

class OptionsTest : public ::testing::Test {
 protected:
  OptionsTest() {
    options_.models_dir = folder_.path();
    options_.trainer = "/bin/sh";
    options_.worker_id = "node";
  }
  std::string Error() { return std::string(ResolveOptions(options_).status().message()); }

  TempFolder folder_;
  AgentOptions options_;
};

TEST_F(OptionsTest, ReadsTheCommandLine) {
  const CommandLine line = Parse({"--coordinator", "localhost:9000", "--device", "cpu", "--slots",
                                  "2", "--threads-per-slot", "4", "--stop-grace", "2.5"});
  EXPECT_EQ(line.verb, CommandLine::Verb::kRun);
  EXPECT_EQ(line.agent.coordinator, "localhost:9000");
  EXPECT_EQ(line.agent.slots, 2);
  EXPECT_EQ(line.agent.threads_per_slot, 4);
  EXPECT_EQ(line.agent.stop_grace, absl::Seconds(2.5));
}

TEST_F(OptionsTest, ReadsTheOrderToCheckAJob) {
  const CommandLine line = Parse({"prepare", "--model-dir", "/m", "--dataset", "/d"});
  EXPECT_EQ(line.verb, CommandLine::Verb::kPrepare);
  EXPECT_EQ(line.prepare.model_dir, "/m");
}

TEST_F(OptionsTest, EndsWithCodeTwoAfterAMistake) {
  ::testing::internal::CaptureStderr();
  const CommandLine line = Parse({"--device", "tpu"});
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("--device"));
  EXPECT_EQ(line.verb, CommandLine::Verb::kExit);
  EXPECT_EQ(line.exit_code, 2);
}

TEST_F(OptionsTest, FillsInDefaultsOfTheMachine) {
  options_.worker_id.clear();
  options_.work_dir = "work";
  const auto resolved = ResolveOptions(options_);
  ASSERT_TRUE(resolved.ok()) << resolved.status();
  EXPECT_FALSE(resolved->worker_id.empty());
  EXPECT_EQ(resolved->work_dir, std::filesystem::current_path() / "work");
}

TEST_F(OptionsTest, LetsMetricsOffLoopbackOnlyWhenAsked) {
  options_.metrics_listen = "0.0.0.0:7072";
  EXPECT_THAT(Error(), HasSubstr("--metrics-listen: found '0.0.0.0:7072', legal is"));
  options_.metrics_off_loopback = true;
  EXPECT_EQ(Error(), "");
  options_.metrics_listen = "127.0.0.1";
  EXPECT_THAT(Error(), HasSubstr("HOST:PORT"));
}

TEST_F(OptionsTest, RefusesACoordinatorOnAnotherMachine) {
  options_.coordinator = "10.0.0.1:7070";
  EXPECT_THAT(Error(), HasSubstr("--coordinator: found '10.0.0.1:7070', legal without TLS are"));
}

TEST_F(OptionsTest, TakesACoordinatorOnAnotherMachineWithTls) {
  const CommandLine line =
      Parse({"--tls-ca", "/tls/ca.pem", "--tls-cert", "/tls/worker.pem", "--tls-key",
             "/tls/worker.key", "--tls-server-name", "coordinator"});
  options_.tls = line.agent.tls;
  EXPECT_EQ(line.agent.tls_server_name, "coordinator");
  options_.coordinator = "10.0.0.1:7070";
  EXPECT_THAT(Error(), HasSubstr("/tls/ca.pem")) << "only the file is missing";
  options_.tls.key.clear();
  EXPECT_THAT(Error(), HasSubstr("found --tls-ca and --tls-cert only"));
}

TEST_F(OptionsTest, NamesTheFlagThatIsWrong) {
  options_.worker_id = "no spaces";
  EXPECT_THAT(Error(), HasSubstr("--worker-id: found 'no spaces'"));
  options_.worker_id = "node";
  options_.trainer = "/nowhere/dropbp-trainer";
  EXPECT_THAT(Error(), HasSubstr("--trainer: found '/nowhere/dropbp-trainer'"));
  options_.models_dir = "/nowhere";
  EXPECT_THAT(Error(), HasSubstr("--models-dir: found '/nowhere'"));
}

TEST(DevicesTest, SharesUsableCpusAndMemoryAmongCpuSlots) {
  AgentOptions options;
  options.device = "cpu";
  options.slots = 2;
  const auto slots = DiscoverSlots(options);
  ASSERT_TRUE(slots.ok()) << slots.status();
  ASSERT_EQ(slots->size(), 2u);
  EXPECT_EQ(slots->at(1).TrainerDevice(), "cpu");
  const Capacity node = UsableCapacity(ReadCgroupLimits());
  for (const Slot& slot : *slots) {
    EXPECT_EQ(slot.threads, std::max(1, node.cpus / 2));
    EXPECT_EQ(slot.memory_bytes, node.memory_bytes / 2);
  }
}

TEST(DevicesTest, UsesNoMoreThanControlGroupsAllow) {
  const Capacity machine = UsableCapacity({});
  EXPECT_GE(machine.cpus, 1);
  EXPECT_GT(machine.memory_bytes, int64_t{1} << 26);
  const Capacity small = UsableCapacity({.memory_bytes = int64_t{1} << 26, .cpus = 0.25});
  EXPECT_EQ(small.memory_bytes, int64_t{1} << 26);
  EXPECT_EQ(small.cpus, 1);
  const Capacity part = UsableCapacity({.cpus = machine.cpus - 0.5});
  EXPECT_EQ(part.cpus, machine.cpus) << "half a CPU counts as one";
  const Capacity large = UsableCapacity({.memory_bytes = int64_t{1} << 60, .cpus = 1e9});
  EXPECT_EQ(large.memory_bytes, machine.memory_bytes);
  EXPECT_EQ(large.cpus, machine.cpus);
}

TEST(DevicesTest, CountsCpusThatItMayRunOn) {
  int cpus = 0;
  // Affinity is a thread's: this one's ends with it.
  std::thread([&cpus] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
    cpus = UsableCapacity({}).cpus;
  }).join();
  EXPECT_EQ(cpus, 1);
}

TEST(DevicesTest, AsksForGpusThatAreThere) {
  AgentOptions options;
  options.device = "cuda";
  options.slots = 1000;
  const auto slots = DiscoverSlots(options);
  EXPECT_EQ(slots.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(slots.status().message()), HasSubstr("1000 needed"));
}

TEST(DevicesTest, ObeysVisibleDevices) {
  const std::vector<Gpu> gpus = {{"a", "GPU-aa11", 1}, {"b", "GPU-bb22", 2}, {"c", "GPU-cc33", 3}};
  const auto names = [&](const std::string& visible) {
    std::string names;
    for (const Gpu& gpu : VisibleGpus(gpus, visible)) names += gpu.name;
    return names;
  };
  EXPECT_EQ(names("2,0"), "ca");
  EXPECT_EQ(names("GPU-bb"), "b");
  EXPECT_EQ(names("1,7,2"), "b");
  EXPECT_EQ(names(""), "");
}

TEST(ModelsTest, ListsFoldersThatHoldAConfig) {
  TempFolder folder;
  WriteText(folder / "b/config.json", "{}");
  WriteText(folder / "a/config.json", "{}");
  WriteText(folder / "data/notes.txt", "");
  WriteText(folder / "config.json", "{}");
  EXPECT_THAT(ListModels(folder.path()), ElementsAre("a", "b"));
  EXPECT_THAT(ListModels("/nowhere"), IsEmpty());
}

TEST(ModelsTest, DescribesEachModelOrSaysWhyItCannotBeUsed) {
  TempFolder folder;
  WriteText(folder / "bad/config.json", "{\"model_type\": \"bert\"}");
  WriteText(folder / "tiny/config.json",
            R"({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 64,
                "intermediate_size": 160, "num_hidden_layers": 4, "num_attention_heads": 4,
                "num_key_value_heads": 2, "vocab_size": 302, "tie_word_embeddings": true,
                "hidden_act": "silu", "rms_norm_eps": 1e-5, "max_position_embeddings": 512})");
  const std::vector<v1::WorkerModel> models = DescribeModels(folder.path());
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(models[0].name(), "bad");
  EXPECT_FALSE(models[0].has_shape());
  EXPECT_THAT(models[0].error(), HasSubstr("bert"));
  EXPECT_THAT(models[0].error(), Not(HasSubstr(folder.path())));
  EXPECT_EQ(models[1].name(), "tiny");
  EXPECT_EQ(models[1].error(), "");
  EXPECT_EQ(models[1].shape().layers(), 4);
  EXPECT_EQ(models[1].shape().head_dim(), 16);
}

TEST(ModelsTest, TakesNamesNotPaths) {
  for (const char* name : {"", ".", "..", "../models", "a/b", "/etc"}) {
    EXPECT_FALSE(IsPlainName(name)) << name;
  }
  EXPECT_TRUE(IsPlainName("smollm2-135m-instruct"));
}

TEST(WorkFolderTest, RemovesWhatAnEarlierAgentLeft) {
  TempFolder folder;
  WriteText(folder / "cache/abc.part", "half");
  WriteText(folder / "cache/abc", "whole");
  WriteText(folder / "jobs/job/attempt-1/rank-0/adapter", "left");
  WriteText(folder / "jobs/job/attempt-1/rank-0.log", "log");
  const auto work = WorkFolder::Open(folder.path());
  ASSERT_TRUE(work.ok()) << work.status();
  EXPECT_FALSE(std::filesystem::exists(folder / "cache/abc.part"));
  EXPECT_TRUE(std::filesystem::exists(folder / "cache/abc"));
  EXPECT_FALSE(std::filesystem::exists(folder / "jobs/job/attempt-1/rank-0"));
  EXPECT_TRUE(std::filesystem::exists(folder / "jobs/job/attempt-1/rank-0.log"));
}

TEST(WorkFolderTest, PutsTheSocketElsewhereWhenItsPathIsTooLong) {
  TempFolder folder;
  std::string socket;
  {
    const auto work = WorkFolder::Open(folder / std::string(120, 'w'));
    ASSERT_TRUE(work.ok()) << work.status();
    socket = (*work)->SocketPath();
    EXPECT_LT(socket.size(), 108u);
    EXPECT_TRUE(std::filesystem::exists(std::filesystem::path(socket).parent_path()));
  }
  EXPECT_FALSE(std::filesystem::exists(std::filesystem::path(socket).parent_path()));
}

}  // namespace
}  // namespace dropbp::agent
