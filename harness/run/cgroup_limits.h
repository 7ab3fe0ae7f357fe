#pragma once

#include <cstdint>
#include <filesystem>

namespace assay::run {

// What the control groups of this process allow: the least of its own group and all groups above
// it. Version 1 (controllers memory and cpu) and 2; a Slurm step and a container have groups of
// their own below the root.
struct CgroupLimits {
  std::int64_t memory_bytes = 0;  // 0: no limit
  double cpus = 0;                // share of time, in processors; 0: no limit
};

// `root`: "/" but in tests; reads proc/self/cgroup and sys/fs/cgroup below it. What cannot be read
// is no limit.
CgroupLimits cgroup_limits(const std::filesystem::path& root = "/");

}  // namespace assay::run
