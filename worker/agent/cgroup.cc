#include "worker/agent/cgroup.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace dropbp::agent {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> Words(const std::string& text, char separator) {
  return absl::StrSplit(text, separator, absl::SkipEmpty());
}

// The words of a file's first line; none if there is no such file.
std::vector<std::string> FirstLine(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return Words(line, ' ');
}

template <typename T>
void Lower(std::optional<T>& limit, T found) {
  limit = std::min(limit.value_or(found), found);
}

// `text` is a number of bytes; "max" in version 2. Version 1 has a huge number where nothing is
// limited.
void LowerMemory(const std::vector<std::string>& text, CgroupLimits& limits) {
  int64_t bytes = 0;
  if (!text.empty() && absl::SimpleAtoi(text[0], &bytes) && bytes > 0)
    Lower(limits.memory_bytes, bytes);
}

// Microseconds of CPU time that all threads may use in a period; "max" or -1: any.
void LowerCpus(const std::string& quota, const std::string& period, CgroupLimits& limits) {
  int64_t used = 0, of = 0;
  if (absl::SimpleAtoi(quota, &used) && absl::SimpleAtoi(period, &of) && used > 0 && of > 0)
    Lower(limits.cpus, static_cast<double>(used) / static_cast<double>(of));
}

// Every group from a hierarchy's top down to `path`, whether it can be seen or not: a container may
// see its own group as the top, and yet its path as the host names it.
std::vector<fs::path> GroupsDownTo(const fs::path& top, const std::string& path) {
  std::vector<fs::path> groups = {top};
  for (const fs::path& name : fs::path(path).relative_path()) {
    if (name == "..") break;  // outside of what this process's cgroup namespace shows
    groups.push_back(groups.back() / name);
  }
  return groups;
}

void LowerByVersion2(const fs::path& group, CgroupLimits& limits) {
  LowerMemory(FirstLine(group / "memory.max"), limits);
  const std::vector<std::string> cpu = FirstLine(group / "cpu.max");
  if (cpu.size() == 2) LowerCpus(cpu[0], cpu[1], limits);
}

void LowerByVersion1(const fs::path& group, CgroupLimits& limits) {
  LowerMemory(FirstLine(group / "memory.limit_in_bytes"), limits);
  const std::vector<std::string> quota = FirstLine(group / "cpu.cfs_quota_us");
  const std::vector<std::string> period = FirstLine(group / "cpu.cfs_period_us");
  if (!quota.empty() && !period.empty()) LowerCpus(quota[0], period[0], limits);
}

}  // namespace

CgroupLimits ReadCgroupLimits(const std::string& root) {
  const fs::path mount = fs::path(root) / "sys/fs/cgroup";
  CgroupLimits limits;
  std::ifstream own(fs::path(root) / "proc/self/cgroup");
  // "0::/path" of version 2; "4:cpu,cpuacct:/path" of version 1, a hierarchy for some controllers.
  for (std::string line; std::getline(own, line);) {
    const std::vector<std::string> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    if (fields[1].empty()) {
      for (const fs::path& group : GroupsDownTo(mount, fields[2])) LowerByVersion2(group, limits);
      continue;
    }
    for (const std::string& controller : Words(fields[1], ',')) {
      if (controller != "memory" && controller != "cpu") continue;
      for (const fs::path& group : GroupsDownTo(mount / controller, fields[2]))
        LowerByVersion1(group, limits);
    }
  }
  return limits;
}

}  // namespace dropbp::agent
