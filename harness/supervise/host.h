#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "harness/base/json.h"

namespace assay::supervise {

// What provenance says of this machine: host, cpu, isa, cores, memory_bytes, kernel. Read once.
const Json& host_facts();

std::string host_name();
std::string boot_id();  // changes with every start of the kernel; "" if unknown

// Start time of a process in clock ticks since boot; 0 if there is no such process. With the pid it
// identifies a process although numbers are used again.
std::uint64_t process_start(pid_t pid);

double unix_seconds();       // wall clock
double monotonic_seconds();  // for intervals

}  // namespace assay::supervise
