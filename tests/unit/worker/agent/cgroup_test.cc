#include "worker/agent/cgroup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/worker/agent/temp_folder.h"

namespace dropbp::agent {
namespace {

using ::testing::Optional;

constexpr int64_t kGib = int64_t{1} << 30;

// A folder with the files of /proc and /sys/fs/cgroup that matter.
class CgroupTest : public ::testing::Test {
 protected:
  void Own(const std::string& text) { WriteText(root_ / "proc/self/cgroup", text); }
  void Set(const std::string& file, const std::string& text) {
    WriteText(root_ / ("sys/fs/cgroup/" + file), text + "\n");
  }
  CgroupLimits Read() { return ReadCgroupLimits(root_.path()); }
  void ExpectNoLimits() {
    EXPECT_EQ(Read().memory_bytes, std::nullopt);
    EXPECT_EQ(Read().cpus, std::nullopt);
  }

  TempFolder root_;
};

TEST_F(CgroupTest, FindsTheLimitsOfAContainerThatSeesItsGroupAsTheTop) {
  Own("0::/\n");
  Set("memory.max", "17179869184");
  Set("cpu.max", "150000 100000");
  EXPECT_THAT(Read().memory_bytes, Optional(16 * kGib));
  EXPECT_THAT(Read().cpus, Optional(1.5));
}

TEST_F(CgroupTest, TakesTheLeastOfAGroupAndThoseAboveIt) {
  Own("0::/kubepods.slice/pod1/worker\n");
  Set("kubepods.slice/memory.max", "8589934592");
  Set("kubepods.slice/cpu.max", "max 100000");
  Set("kubepods.slice/pod1/memory.max", "4294967296");
  Set("kubepods.slice/pod1/cpu.max", "400000 100000");
  Set("kubepods.slice/pod1/worker/memory.max", "6442450944");
  Set("kubepods.slice/pod1/worker/cpu.max", "100000 50000");
  Set("kubepods.slice/pod2/memory.max", "1024");
  EXPECT_THAT(Read().memory_bytes, Optional(4 * kGib));
  EXPECT_THAT(Read().cpus, Optional(2.0));
}

TEST_F(CgroupTest, LeavesAGroupWithoutLimitsAlone) {
  Own("0::/user.slice\n");
  Set("user.slice/memory.max", "max");
  Set("user.slice/cpu.max", "max 100000");
  ExpectNoLimits();
}

TEST_F(CgroupTest, ReadsVersion1WhereEachControllerHasAHierarchy) {
  Own("5:cpu,cpuacct:/docker/a\n4:memory:/docker/b\n1:name=systemd:/docker/c\n0::/\n");
  Set("memory/memory.limit_in_bytes", "9223372036854771712");
  Set("memory/docker/b/memory.limit_in_bytes", "2147483648");
  Set("memory/docker/a/memory.limit_in_bytes", "1024");
  Set("cpu/cpu.cfs_quota_us", "-1");
  Set("cpu/cpu.cfs_period_us", "100000");
  Set("cpu/docker/a/cpu.cfs_quota_us", "50000");
  Set("cpu/docker/a/cpu.cfs_period_us", "100000");
  EXPECT_THAT(Read().memory_bytes, Optional(2 * kGib));
  EXPECT_THAT(Read().cpus, Optional(0.5));
}

TEST_F(CgroupTest, FindsAContainersOwnLimitsUnderAPathOfTheHost) {
  Own("4:memory:/docker/b\n");
  Set("memory/memory.limit_in_bytes", "2147483648");
  EXPECT_THAT(Read().memory_bytes, Optional(2 * kGib));
}

TEST_F(CgroupTest, DoesNotLookIntoGroupsOfThatNameElsewhere) {
  Own("0::/../other\n");
  Set("other/memory.max", "1024");
  Set("memory.max", "1073741824");
  EXPECT_THAT(Read().memory_bytes, Optional(kGib));
}

TEST_F(CgroupTest, FindsNothingWhereNothingIs) {
  ExpectNoLimits();
  Own("0::/gone\n");
  ExpectNoLimits();
}

TEST_F(CgroupTest, TakesNoLimitFromNonsense) {
  Own("\n:\nmemory\n0::/\n4:memory:/\n5:cpu:/\n");
  for (const char* text : {"", "many", "-5", "0", "12x", "99999999999999999999"}) {
    Set("memory.max", text);
    Set("memory/memory.limit_in_bytes", text);
    ExpectNoLimits();
  }
  for (const char* text : {"", "100000", "100000 0", "-1 100000", "x 100000", "1 2 3"}) {
    Set("cpu.max", text);
    ExpectNoLimits();
  }
  Set("cpu/cpu.cfs_quota_us", "100");
  ExpectNoLimits();
  Set("cpu/cpu.cfs_period_us", "0");
  ExpectNoLimits();
}

}  // namespace
}  // namespace dropbp::agent
