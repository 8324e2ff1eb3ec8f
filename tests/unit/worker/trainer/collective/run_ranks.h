// Ranks as threads of the test, over a real Gloo group on loopback and an in-memory rendezvous
// store.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "worker/trainer/collective/process_group.h"

namespace dropbp::trainer {

// Runs `body(group)` on `world_size` ranks and waits for all. A single rank gets no group (null).
inline void RunRanks(int world_size, const std::function<void(int rank, ProcessGroup* group)>& body,
                     absl::Duration timeout = absl::Seconds(60)) {
  if (world_size == 1) return body(0, nullptr);
  const std::shared_ptr<RendezvousStore> store = MakeMemoryStore();
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < world_size; ++rank) {
    ranks.emplace_back([&, rank] {
      auto group =
          MakeProcessGroup({.rank = rank, .world_size = world_size, .timeout = timeout}, store);
      ASSERT_TRUE(group.ok()) << group.status();
      body(rank, group->get());
    });
  }
  for (std::thread& thread : ranks) thread.join();
}

// The assignment of one of these ranks.
inline Assignment AssignmentOf(int rank, int world_size, const JobSpec& spec) {
  Assignment assignment;
  assignment.job_id = "test";
  assignment.rank = rank;
  assignment.world_size = world_size;
  assignment.spec = spec;
  return assignment;
}

}  // namespace dropbp::trainer
