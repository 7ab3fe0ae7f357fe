#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "harness/base/error.h"

namespace assay::supervise {

// How an executor ended.
struct Death {
  ErrorKind kind = ErrorKind::kCrash;  // kCrash, kOom or kLost
  std::string message;                 // "killed by signal 11 (Segmentation fault)"
  int exit_code = -1;                  // -1: it did not exit by itself
  int signal = 0;
};

// Classifies a wait status. SIGKILL with a rise of the memory cgroup's oom_kill count while the
// process lived is kOom, without one kLost (somebody took it away); any other end is kCrash, exit
// code 0 too, since an executor is told to leave.
Death classify_death(int wait_status, std::int64_t oom_kills);

// oom_kill of this process's memory cgroup (v2 or v1); 0 where there is none.
std::int64_t cgroup_oom_kills();

}  // namespace assay::supervise
