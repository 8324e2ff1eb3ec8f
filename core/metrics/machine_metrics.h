// What every program of the service tells of itself: its build, its process, the disk it writes to.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "core/metrics/exposition.h"
#include "core/metrics/metric_table.h"

namespace dropbp {

// What a process has used; nothing if there is no such process.
struct ProcessUsage {
  double cpu_seconds = 0;
  int64_t resident_bytes = 0;
  double start_time = 0;  // seconds since 1970
};
std::optional<ProcessUsage> ReadProcessUsage(pid_t pid);

// Rows of build, process and disk.
MetricTable MachineMetrics();

// Adds them. `folder_label` names the folder in `dropbp_disk_*`: data, work.
void AddMachineMetrics(const std::string& folder_label, const std::string& folder, Exposition& out);

}  // namespace dropbp
