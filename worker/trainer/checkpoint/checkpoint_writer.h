// Writes checkpoint parts while training goes on.
#pragma once

#include <string>
#include <thread>

#include "worker/trainer/checkpoint/checkpoint_part.h"
#include "worker/trainer/link/coordinator_link.h"

namespace dropbp::trainer {

// One file at a time, on a thread of its own, into checkpoints/ of the output folder. Each end is
// reported over the link: the file, or why there is none, which ends no job. Called by one thread.
class CheckpointWriter {
 public:
  explicit CheckpointWriter(CoordinatorLink* link) : link_(link) {}
  // Waits for what is under way.
  ~CheckpointWriter() { Wait(); }

  // Begins to write a part; waits for the one before it.
  void Start(CheckpointPartData part);
  // Returns when nothing is under way any more.
  void Wait();

 private:
  void Write(const CheckpointPartData& part) const;

  CoordinatorLink* const link_;
  std::thread thread_;
};

}  // namespace dropbp::trainer
