#include "harness/run/cgroup_limits.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/temporary_folder.h"

namespace assay::run {
namespace {

class CgroupLimitsTest : public ::testing::Test {
 protected:
  void put(const std::string& file, const std::string& text) {
    const auto path = folder.path() / file;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  CgroupLimits limits() const { return cgroup_limits(folder.path()); }

  TemporaryFolder folder;
};

TEST_F(CgroupLimitsTest, nothing_to_read_is_no_limit) {
  EXPECT_EQ(limits().memory_bytes, 0);
  EXPECT_EQ(limits().cpus, 0);
}

TEST_F(CgroupLimitsTest, of_a_slurm_step_lie_below_the_root) {
  put("proc/self/cgroup", "0::/system.slice/slurmstepd.scope/job_7/step_0/user/task_0\n");
  const std::string job = "sys/fs/cgroup/system.slice/slurmstepd.scope/job_7/";
  put(job + "memory.max", "734003200\n");
  put(job + "step_0/memory.max", "max\n");
  put(job + "step_0/user/task_0/memory.max", "max\n");
  put(job + "step_0/cpu.max", "150000 100000\n");
  put(job + "cpu.max", "max 100000\n");
  EXPECT_EQ(limits().memory_bytes, 734003200);
  EXPECT_DOUBLE_EQ(limits().cpus, 1.5);
}

TEST_F(CgroupLimitsTest, of_version_1_come_from_two_controllers) {
  put("proc/self/cgroup",
      "12:memory:/slurm/uid_0/job_7/step_0\n4:cpu,cpuacct:/slurm/uid_0/job_7\n1:name=systemd:/x\n");
  put("sys/fs/cgroup/memory/slurm/uid_0/job_7/step_0/memory.limit_in_bytes", "9223372036854771712");
  put("sys/fs/cgroup/memory/slurm/uid_0/job_7/memory.limit_in_bytes", "1073741824");
  put("sys/fs/cgroup/cpu,cpuacct/slurm/uid_0/job_7/cpu.cfs_quota_us", "200000");
  put("sys/fs/cgroup/cpu,cpuacct/slurm/uid_0/job_7/cpu.cfs_period_us", "100000");
  put("sys/fs/cgroup/cpu,cpuacct/slurm/cpu.cfs_quota_us", "-1");
  put("sys/fs/cgroup/cpu,cpuacct/slurm/cpu.cfs_period_us", "100000");
  EXPECT_EQ(limits().memory_bytes, 1073741824);
  EXPECT_DOUBLE_EQ(limits().cpus, 2);
}

TEST_F(CgroupLimitsTest, of_a_container_stand_at_the_mount) {
  put("proc/self/cgroup", "0::/docker/0123/not/visible\n");
  put("sys/fs/cgroup/memory.max", "268435456");
  put("sys/fs/cgroup/cpu.max", "max 100000");
  EXPECT_EQ(limits().memory_bytes, 268435456);
  EXPECT_EQ(limits().cpus, 0);
}

}  // namespace
}  // namespace assay::run
