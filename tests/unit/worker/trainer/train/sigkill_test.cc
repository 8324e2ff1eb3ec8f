// kill -9 of the processes that train, at random moments: the next one goes on from the newest
// complete checkpoint, and in the end every bit is that of a job that was not disturbed. Each
// attempt is a process of its own; this one only starts them and never uses torch itself. Two ranks
// are threads of one process and end together; death_test kills one of two processes.
#include <ATen/ATen.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/files.h"
#include "core/base/fnv.h"
#include "core/base/philox.h"
#include "tests/unit/worker/trainer/train/checkpoint_folder.h"
#include "tests/unit/worker/trainer/train/tiny_job.h"

namespace dropbp::trainer {
namespace {

namespace fs = std::filesystem;

constexpr int kSteps = 16;
constexpr int kKills = 5;

// Probes, balanced masks, AdamW state that differs by unit, a schedule.
JobSpec LongSpec() {
  JobSpec spec = TinySpec();
  spec.training.steps = kSteps;
  spec.training.schedule = "cosine";
  spec.training.weight_decay = 0.1;
  spec.dropbp.drop_rate = 0.5;
  spec.dropbp.allocation = "quadratic";
  spec.dropbp.masks = "balanced";
  spec.dropbp.probe_at = 0.2;
  spec.dropbp.probe_every = 5;
  spec.lora.dropout = 0.1;
  spec.checkpoint.every_steps = 2;
  return spec;
}

// A way to train, as changes to LongSpec().
struct Way {
  const char* name;
  void (*edit)(JobSpec&);
};

constexpr Way kWays[] = {
    {"lora", [](JobSpec&) {}},
    {"qlora", [](JobSpec& spec) { spec.method = "qlora"; }},
    {"full", [](JobSpec& spec) { spec.method = "full"; }},
    {"accumulation", [](JobSpec& spec) { spec.training.micro_batch_size = 1; }},
    {"packing", [](JobSpec& spec) { spec.dataset.packing = true; }},
};

// When SIGKILL comes: so long after `rank` is about to make `step`.
struct Kill {
  int64_t step = 0;
  int rank = 0;
  int64_t microseconds = 0;
};

// By step, ascending: an attempt gets farther than the one before. The job is not done so soon.
std::vector<Kill> RandomKills(uint64_t seed, int world_size) {
  PhiloxStream random(seed, 0, 0);
  std::map<int64_t, Kill> kills;
  while (kills.size() < kKills) {
    const int64_t step = 1 + random.Below(kSteps - 6);
    kills[step] = {.step = step,
                   .rank = static_cast<int>(random.Below(world_size)),
                   .microseconds = 1 + random.Below(3000)};
  }
  std::vector<Kill> list;
  for (const auto& [step, kill] : kills) list.push_back(kill);
  return list;
}

// The kernel ends this process then, whatever its threads do.
void ArmKill(int64_t microseconds) {
  sigevent event = {};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGKILL;
  timer_t timer;
  itimerspec when = {};
  when.it_value.tv_nsec = microseconds * 1000;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) std::abort();
  if (timer_settime(timer, 0, &when, nullptr) != 0) std::abort();
}

// What a rank knows of a step that it made; written down at once, so that it outlives the process.
struct StepRecord {
  int64_t step = 0;
  double loss = 0;
  double grad_norm = 0;
  double learning_rate = 0;
  uint64_t mask_hash = 0;
  int64_t plan_version = 0;
  uint64_t weight_hash = 0;

  bool operator==(const StepRecord&) const = default;
};

// One process of a job.
struct Attempt {
  const CheckpointFolder& folder;
  std::string name;
  std::string checkpoint = "";  // what it goes on from
  std::optional<Kill> kill = std::nullopt;

  std::string StepsFile(int rank) const {
    return absl::StrCat(folder.RankFolder(rank), "-", name, ".steps");
  }
  std::string EndFile(int rank) const {
    return absl::StrCat(folder.RankFolder(rank), "-", name, ".end");
  }
};

// Appends the newest step's record, if it has not been written yet.
void WriteRecord(const TinyRank& rank, const std::string& path) {
  std::error_code error;
  const auto written = fs::exists(path) ? fs::file_size(path, error) / sizeof(StepRecord) : 0;
  if (rank.weight_hashes.size() == written) return;
  const StepReport& step = rank.link->steps.back();
  const StepRecord record = {.step = step.step,
                             .loss = step.loss,
                             .grad_norm = step.grad_norm,
                             .learning_rate = step.learning_rate,
                             .mask_hash = step.mask_hash,
                             .plan_version = step.plan_version,
                             .weight_hash = rank.weight_hashes.back()};
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const ssize_t count = write(fd, &record, sizeof(record));
  close(fd);
  if (count != sizeof(record)) std::abort();
}

// All weights and moments, byte by byte.
std::string EndState(const TinyRank& rank) {
  std::string bytes;
  const auto add = [&](const at::Tensor& tensor) {
    const at::Tensor plain = tensor.detach().contiguous();
    bytes.append(static_cast<const char*>(plain.const_data_ptr()), plain.nbytes());
  };
  for (const TrainableParameter& parameter : rank.model->trainable()) add(parameter.value);
  for (const AdamW::State& state : rank.trainer->optimizer().states()) {
    add(state.first_moment);
    add(state.second_moment);
    add(state.step);
  }
  return bytes;
}

[[noreturn]] void Train(const JobSpec& spec, int world_size, const Attempt& attempt) {
  at::set_num_threads(1);
  const auto before_step = [&](TinyRank& rank, ProcessGroup*) {
    const int number = rank.link->assignment().rank;
    WriteRecord(rank, attempt.StepsFile(number));
    const std::optional<Kill>& kill = attempt.kill;
    if (!kill || kill->rank != number || kill->step != rank.trainer->next_step()) return;
    ArmKill(kill->microseconds);
  };
  const auto ranks = TrainTiny(spec, world_size, before_step, nullptr, [&](Assignment& assignment) {
    assignment.output_dir = attempt.folder.RankFolder(assignment.rank);
    assignment.checkpoint_dir = attempt.checkpoint;
  });
  for (int rank = 0; rank < world_size; ++rank) {
    WriteRecord(ranks[rank], attempt.StepsFile(rank));
    if (!WriteFileAtomically(attempt.EndFile(rank), EndState(ranks[rank])).ok()) std::abort();
  }
  _exit(::testing::Test::HasFailure() ? 1 : 0);
}

class SigkillTest : public ::testing::TestWithParam<std::tuple<Way, int>> {
 protected:
  SigkillTest() { std::get<0>(GetParam()).edit(spec_); }

  // Its exit code, or the negative number of the signal that ended it.
  int RunProcess(const Attempt& attempt) const {
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) Train(spec_, world_size_, attempt);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  }

  static std::vector<StepRecord> Steps(const Attempt& attempt, int rank) {
    const absl::StatusOr<std::string> bytes = ReadFile(attempt.StepsFile(rank), 1 << 20);
    if (!bytes.ok()) return {};
    std::vector<StepRecord> steps(bytes->size() / sizeof(StepRecord));
    std::memcpy(steps.data(), bytes->data(), steps.size() * sizeof(StepRecord));
    return steps;
  }

  // The steps that `attempt` made from `first` on are those of `undisturbed`; how many.
  static size_t ExpectSameSteps(int64_t first, const Attempt& undisturbed, const Attempt& attempt,
                                int rank) {
    const std::vector<StepRecord> all = Steps(undisturbed, rank);
    const std::vector<StepRecord> some = Steps(attempt, rank);
    EXPECT_EQ(all.size(), static_cast<size_t>(kSteps));
    EXPECT_LE(static_cast<size_t>(first) + some.size(), all.size());
    for (size_t i = 0; i < some.size() && static_cast<size_t>(first) + i < all.size(); ++i) {
      EXPECT_TRUE(some[i] == all[static_cast<size_t>(first) + i])
          << "rank " << rank << ", step " << some[i].step << ", loss " << some[i].loss;
    }
    return some.size();
  }

  // Steps done at the newest checkpoint of which every rank's part is there; 0: there is none.
  int64_t NewestCheckpoint() const {
    for (int64_t step = kSteps; step > 0; --step) {
      int parts = 0;
      for (int rank = 0; rank < world_size_; ++rank) {
        parts += fs::exists(
            absl::StrCat(folder_.RankFolder(rank), "/checkpoints/step-", step, ".safetensors"));
      }
      if (parts == world_size_) return step;
    }
    return 0;
  }

  const int world_size_ = std::get<1>(GetParam());
  JobSpec spec_ = LongSpec();
  const CheckpointFolder other_folder_;
  const CheckpointFolder folder_;
};

TEST_P(SigkillTest, EndsWithTheBitsOfAJobThatWasNotDisturbed) {
  const Attempt undisturbed{.folder = other_folder_, .name = "undisturbed"};
  ASSERT_EQ(RunProcess(undisturbed), 0);
  const uint64_t seed =
      Fnv1a64().Bytes(::testing::UnitTest::GetInstance()->current_test_info()->name()).hash();
  int64_t step = 0;
  std::string checkpoint;
  for (const Kill& kill : RandomKills(seed, world_size_)) {
    const Attempt attempt{.folder = folder_,
                          .name = absl::StrCat("killed-", kill.step),
                          .checkpoint = checkpoint,
                          .kill = kill};
    ASSERT_EQ(RunProcess(attempt), -SIGKILL);
    for (int rank = 0; rank < world_size_; ++rank)
      ExpectSameSteps(step, undisturbed, attempt, rank);
    step = NewestCheckpoint();
    std::printf(
        "seed %016lx: killed %d us after rank %d began step %d, newest checkpoint after %d steps\n",
        seed, static_cast<int>(kill.microseconds), kill.rank, static_cast<int>(kill.step),
        static_cast<int>(step));
    if (step > 0) checkpoint = folder_.Complete(spec_, world_size_, step);
  }
  EXPECT_GT(step, 0) << "nothing was resumed";
  const Attempt last{.folder = folder_, .name = "last", .checkpoint = checkpoint};
  ASSERT_EQ(RunProcess(last), 0);
  for (int rank = 0; rank < world_size_; ++rank) {
    EXPECT_EQ(ExpectSameSteps(step, undisturbed, last, rank), static_cast<size_t>(kSteps - step));
    EXPECT_TRUE(*ReadFile(last.EndFile(rank), 1 << 26) ==
                *ReadFile(undisturbed.EndFile(rank), 1 << 26))
        << "weights and moments of rank " << rank;
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, SigkillTest,
                         ::testing::Combine(::testing::ValuesIn(kWays), ::testing::Values(1, 2)),
                         [](const auto& info) {
                           return absl::StrCat(std::get<0>(info.param).name, "_on_",
                                               std::get<1>(info.param));
                         });

}  // namespace
}  // namespace dropbp::trainer
