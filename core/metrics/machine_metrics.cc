#include "core/metrics/machine_metrics.h"

#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace dropbp {
namespace {

std::string Content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// When the machine was booted, in seconds since 1970.
double BootTime() {
  double seconds = 0;
  const std::string stat = Content("/proc/stat");
  for (const absl::string_view line : absl::StrSplit(stat, '\n')) {
    if (!absl::StartsWith(line, "btime ")) continue;
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    if (!absl::SimpleAtod(words[1], &seconds)) return 0;
  }
  return seconds;
}

double Number(const std::vector<std::string>& fields, size_t index) {
  double value = 0;
  return index < fields.size() && absl::SimpleAtod(fields[index], &value) ? value : 0;
}

double OpenFiles() {
  std::error_code error;
  const std::filesystem::directory_iterator files("/proc/self/fd", error);
  return static_cast<double>(std::distance(begin(files), end(files)));
}

void AddProcess(Exposition& out) {
  if (const auto usage = ReadProcessUsage(getpid())) {
    out.Set("process_start_time_seconds", usage->start_time);
    out.Set("process_cpu_seconds_total", usage->cpu_seconds);
    out.Set("process_resident_memory_bytes", static_cast<double>(usage->resident_bytes));
  }
  out.Set("process_open_fds", OpenFiles());
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    out.Set("process_max_fds", static_cast<double>(limit.rlim_cur));
  }
}

}  // namespace

std::optional<ProcessUsage> ReadProcessUsage(pid_t pid) {
  // pid (name) state ...; the name may hold spaces and parentheses.
  const std::string stat = Content(absl::StrCat("/proc/", pid, "/stat"));
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  const std::vector<std::string> fields =
      absl::StrSplit(stat.substr(name_end + 1), ' ', absl::SkipEmpty());
  static const double kTicks = static_cast<double>(sysconf(_SC_CLK_TCK));
  static const double kBootTime = BootTime();
  ProcessUsage usage;
  // proc(5) counts fields from 1 and the state, our first, is the third.
  usage.cpu_seconds = (Number(fields, 14 - 3) + Number(fields, 15 - 3)) / kTicks;
  usage.start_time = kBootTime + Number(fields, 22 - 3) / kTicks;
  usage.resident_bytes = static_cast<int64_t>(Number(fields, 24 - 3)) * sysconf(_SC_PAGESIZE);
  return usage;
}

MetricTable MachineMetrics() {
  return {
      {"dropbp_build_info",
       MetricKind::kGauge,
       {"version", "compiler"},
       "Always 1; the labels tell what this program was built from."},
      {"dropbp_disk_free_bytes",
       MetricKind::kGauge,
       {"folder"},
       "Room left for this program on the disk of its folder: `data` is the coordinator's "
       "--data-dir, `work` a worker's --work-dir."},
      {"dropbp_disk_size_bytes", MetricKind::kGauge, {"folder"}, "Size of that disk."},
      {"process_cpu_seconds_total",
       MetricKind::kCounter,
       {},
       "Processor time that this process has used; trainers are not counted."},
      {"process_max_fds", MetricKind::kGauge, {}, "File descriptors that it may open."},
      {"process_open_fds", MetricKind::kGauge, {}, "File descriptors that are open."},
      {"process_resident_memory_bytes", MetricKind::kGauge, {}, "Resident memory of this process."},
      {"process_start_time_seconds",
       MetricKind::kGauge,
       {},
       "When this process was started, in seconds since 1970."},
  };
}

void AddMachineMetrics(const std::string& folder_label, const std::string& folder,
                       Exposition& out) {
  out.Set("dropbp_build_info", 1, {DROPBP_VERSION, __VERSION__});
  struct statvfs disk = {};
  if (statvfs(folder.c_str(), &disk) == 0) {
    const double block = static_cast<double>(disk.f_frsize);
    out.Set("dropbp_disk_free_bytes", static_cast<double>(disk.f_bavail) * block, {folder_label});
    out.Set("dropbp_disk_size_bytes", static_cast<double>(disk.f_blocks) * block, {folder_label});
  }
  AddProcess(out);
}

}  // namespace dropbp
