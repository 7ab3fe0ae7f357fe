#include "harness/run/cgroup_limits.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

namespace assay::run {
namespace {

namespace fs = std::filesystem;

// Version 1 says "none" by the largest multiple of the page size.
constexpr std::int64_t kNoLimit = std::int64_t{1} << 62;

template <typename T>
void lower(T& limit, T other) {
  if (other > 0 && (limit == 0 || other < limit)) limit = other;
}

// The first number in a file; 0 without one ("max").
double number_in(const fs::path& file) {
  std::ifstream stream(file);
  double number = 0;
  return stream >> number ? number : 0;
}

void take_memory(const fs::path& file, CgroupLimits& limits) {
  std::ifstream stream(file);
  std::int64_t bytes = 0;
  if (stream >> bytes && bytes < kNoLimit) lower(limits.memory_bytes, bytes);
}

void take_group(const fs::path& group, CgroupLimits& limits) {
  take_memory(group / "memory.max", limits);             // version 2
  take_memory(group / "memory.limit_in_bytes", limits);  // version 1
  std::ifstream share(group / "cpu.max");                // version 2: "quota period", "max period"
  double quota = 0;
  double period = 0;
  if (share >> quota >> period && period > 0) lower(limits.cpus, quota / period);
  quota = number_in(group / "cpu.cfs_quota_us");  // version 1; -1: none
  period = number_in(group / "cpu.cfs_period_us");
  if (quota > 0 && period > 0) lower(limits.cpus, quota / period);
}

// A group and those above it. Inside a container the mount may begin at the container's own group:
// then the upper part of `path` is not there, and the mount itself is the group.
void take_path(const fs::path& mount, const fs::path& path, CgroupLimits& limits) {
  std::error_code code;
  for (fs::path group = path.relative_path(); !group.empty(); group = group.parent_path()) {
    if (fs::is_directory(mount / group, code)) take_group(mount / group, limits);
  }
  take_group(mount, limits);
}

}  // namespace

CgroupLimits cgroup_limits(const fs::path& root) {
  CgroupLimits limits;
  const fs::path mounts = root / "sys/fs/cgroup";
  std::ifstream groups(root / "proc/self/cgroup");
  // "hierarchy:controllers:path"; version 2: "0::path"
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const fs::path path = line.substr(second + 1);
    if (controllers.empty()) {
      take_path(mounts, path, limits);
      take_path(mounts / "unified", path, limits);
      continue;
    }
    std::istringstream names(controllers);
    for (std::string name; std::getline(names, name, ',');) {
      if (name != "memory" && name != "cpu") continue;
      take_path(mounts / controllers, path, limits);
      if (name != controllers) take_path(mounts / name, path, limits);  // a link to it
    }
  }
  return limits;
}

}  // namespace assay::run
