// Jobs that save and go on, and what shows that they make the steps of one that was never
// disturbed.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/unit/worker/trainer/train/checkpoint_folder.h"
#include "tests/unit/worker/trainer/train/tiny_job.h"

namespace dropbp::trainer {

// Probes before steps 2 and 4, balanced masks, dropout, AdamW state that differs by unit.
JobSpec DroppingSpec();

class ResumeTest : public ::testing::Test {
 protected:
  void SetUp() override;

  std::string RankFolder(int rank) const { return folder_.RankFolder(rank); }
  std::string Complete(const JobSpec& spec, int world_size, int64_t step) const {
    return folder_.Complete(spec, world_size, step);
  }
  std::string PartOf(int rank, int64_t step) const;

  // Trains from the beginning and saves after every step, or as `spec` says otherwise.
  std::vector<TinyRank> Train(
      const JobSpec& spec, int world_size,
      const std::function<void(TinyRank&, ProcessGroup*)>& before_step = nullptr,
      std::vector<absl::Status>* statuses = nullptr) const;

  static std::vector<TinyRank> GoOn(const JobSpec& spec, int world_size,
                                    const std::string& checkpoint,
                                    std::vector<absl::Status>* statuses = nullptr);

  CheckpointFolder folder_;
};

// Those steps that `resumed` made from `step` on are those of `undisturbed`.
void ExpectSameSteps(int64_t step, const TinyRank& undisturbed, const TinyRank& resumed);

// `resumed` made exactly the steps of `undisturbed` from `step` on.
void ExpectSameFrom(int64_t step, const TinyRank& undisturbed, const TinyRank& resumed);

}  // namespace dropbp::trainer
