// What control groups let this process use of the machine: the limits of a container, of a
// Kubernetes pod, of a systemd unit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace dropbp::agent {

struct CgroupLimits {
  std::optional<int64_t> memory_bytes = {};
  std::optional<double> cpus = {};  // CPU time per time: 1.5 are one and a half cores
};

// The least limits of the process's own group and of those above it, of cgroup versions 2 and 1, as
// far as they can be seen under /sys/fs/cgroup. What is missing or makes no sense limits nothing.
// `root`: the folder with proc/ and sys/; "/" but in tests.
CgroupLimits ReadCgroupLimits(const std::string& root = "/");

}  // namespace dropbp::agent
