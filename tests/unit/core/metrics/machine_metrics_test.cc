#include "core/metrics/machine_metrics.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "absl/time/clock.h"

namespace dropbp {
namespace {

TEST(ReadProcessUsageTest, TellsOfThisProcess) {
  const auto usage = ReadProcessUsage(getpid());
  ASSERT_TRUE(usage.has_value());
  EXPECT_GT(usage->resident_bytes, 1 << 20);
  EXPECT_GE(usage->cpu_seconds, 0);
  const double now = absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch());
  EXPECT_LE(usage->start_time, now + 2) << "the boot time is in whole seconds";
  EXPECT_GT(usage->start_time, now - 3600) << "this test does not run for an hour";
}

TEST(ReadProcessUsageTest, SaysNothingOfAProcessThatIsNotThere) {
  EXPECT_FALSE(ReadProcessUsage(1 << 30).has_value());
}

TEST(MachineMetricsTest, ExposesEveryFamilyOfItsTable) {
  const MetricTable table = MachineMetrics();
  Exposition out(table);
  AddMachineMetrics("data", "/", out);
  EXPECT_EQ(out.Take().size(), table.size());
}

TEST(MachineMetricsTest, LeavesOutADiskThatIsGone) {
  const MetricTable table = MachineMetrics();
  Exposition out(table);
  AddMachineMetrics("data", "/no/such/folder", out);
  EXPECT_EQ(out.Take().size(), table.size() - 2);
}

}  // namespace
}  // namespace dropbp
