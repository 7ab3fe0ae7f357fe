#include "harness/supervise/death.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <csignal>
#include <cstring>
#include <fstream>

namespace assay::supervise {
namespace {

// The number after `name` in a file of "name number" lines; -1 without it.
std::int64_t counter(const std::string& file, const std::string& name) {
  std::ifstream stream(file);
  std::string word;
  std::int64_t value = 0;
  while (stream >> word >> value) {
    if (word == name) return value;
  }
  return -1;
}

}  // namespace

Death classify_death(int wait_status, std::int64_t oom_kills) {
  Death death;
  if (WIFEXITED(wait_status)) {
    death.exit_code = WEXITSTATUS(wait_status);
    death.message = fmt::format("the executor left with exit code {}", death.exit_code);
    return death;
  }
  death.signal = WTERMSIG(wait_status);
  const char* name = ::strsignal(death.signal);
  death.message = fmt::format("the executor was killed by signal {} ({})", death.signal,
                              name == nullptr ? "unknown" : name);
  if (death.signal != SIGKILL) return death;
  death.kind = oom_kills > 0 ? ErrorKind::kOom : ErrorKind::kLost;
  death.message += oom_kills > 0 ? ": out of memory, says the memory cgroup"
                                 : ", not for want of memory in its cgroup";
  return death;
}

std::int64_t cgroup_oom_kills() {
  std::ifstream groups("/proc/self/cgroup");
  std::string line;
  while (std::getline(groups, line)) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    const bool unified = controllers.empty();
    if (!unified && controllers != "memory") continue;
    const std::string mount = unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    const std::string file = unified ? "/memory.events" : "/memory.oom_control";
    // Inside a container the mount may begin at the container's own group.
    for (const std::string& each : {mount + path + file, mount + file}) {
      const std::int64_t kills = counter(each, "oom_kill");
      if (kills >= 0) return kills;
    }
  }
  return 0;
}

}  // namespace assay::supervise
