// The device slots of this node: each is a place for one trainer process.
#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"
#include "dropbp/v1/cluster_service.pb.h"
#include "worker/agent/cgroup.h"
#include "worker/agent/options.h"

namespace dropbp::agent {

struct Slot {
  int index = 0;
  v1::DeviceSlot::Kind kind = v1::DeviceSlot::CPU;
  std::string device_name;
  int64_t memory_bytes = 0;
  int threads = 1;       // CPU threads of its trainer
  std::string gpu_uuid;  // CUDA: the only device that its trainer sees

  // What a trainer on this slot is told to use: cpu, or cuda:0, the only GPU it sees.
  std::string TrainerDevice() const { return kind == v1::DeviceSlot::CUDA ? "cuda:0" : "cpu"; }
};

// What the trainers of this node share.
struct Capacity {
  int64_t memory_bytes = 0;
  int cpus = 1;
};

// What the machine has, as far as the process's affinity and `limits` let it be used. A part of a
// CPU counts as one.
Capacity UsableCapacity(const CgroupLimits& limits);

// The slots that the options ask for. FAILED_PRECONDITION if they ask for GPUs that are not there.
absl::StatusOr<std::vector<Slot>> DiscoverSlots(const AgentOptions& options);

}  // namespace dropbp::agent
