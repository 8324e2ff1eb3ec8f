// The ranks of one attempt, and what they do together. c10d's Gloo and NCCL groups stand behind
// this interface; their exceptions become Status in c10d_group.cc and nowhere else.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "core/base/status.h"
#include "worker/trainer/link/coordinator_link.h"

namespace dropbp::trainer {

// A collective under way.
class PendingCollective {
 public:
  virtual ~PendingCollective() = default;
  // Returns when the result may be read (on CUDA: by the current stream). Call once.
  virtual absl::Status Wait() = 0;
};

// Every rank must make the same calls in the same order: Note [Order of collectives] in buckets.h.
// Not thread-safe; one thread of the trainer owns it. After the first failure the ranks no longer
// agree on where they are, so the group stays failed: every later call returns that first error.
// Errors carry rank, step and operation. UNAVAILABLE: a peer is gone or too slow.
class ProcessGroup {
 public:
  virtual ~ProcessGroup() = default;

  virtual int rank() const = 0;
  virtual int world_size() const = 0;

  // The optimizer step that later errors name.
  virtual void SetStep(int64_t step) = 0;

  // Begins to replace a contiguous tensor by its sum over all ranks, in place; the same bits on
  // every rank. The tensor must be left alone until Wait() has returned.
  virtual absl::StatusOr<std::unique_ptr<PendingCollective>> StartAllReduceSum(
      const at::Tensor& flat) = 0;

  // Every rank's values, by rank; all ranks give the same number of values. For small vectors.
  virtual absl::StatusOr<std::vector<std::vector<int64_t>>> AllGather(
      absl::Span<const int64_t> values) = 0;
  virtual absl::StatusOr<std::vector<std::vector<double>>> AllGather(
      absl::Span<const double> values) = 0;

  // Returns when every rank has called it.
  virtual absl::Status Barrier() = 0;
};

// How a rank meets its peers.
struct ProcessGroupOptions {
  int rank = 0;
  int world_size = 1;
  std::string device = "cpu";              // cpu: Gloo; cuda:<index>: NCCL
  std::string host_address = "127.0.0.1";  // address of this node that the peers can reach (Gloo)
  absl::Duration timeout = absl::Minutes(30);  // a collective that takes longer fails
};

// Meets the peers at the rendezvous store. Returns when the group works; UNAVAILABLE if a peer does
// not come within the timeout, INVALID_ARGUMENT for a device this build has no collectives for.
absl::StatusOr<std::unique_ptr<ProcessGroup>> MakeProcessGroup(
    const ProcessGroupOptions& options, std::shared_ptr<RendezvousStore> store);

}  // namespace dropbp::trainer
