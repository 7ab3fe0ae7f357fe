#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "harness/base/json.h"

namespace assay::supervise {

// A process so that nobody takes another for it. Numbers are used again, hence the start time. A
// number means something only under one kernel and in one pid name space; host names do not tell
// those apart (containers share them, machines are called localhost), the boot id and the name
// space do.
struct ProcessIdentity {
  std::string host;
  std::string boot_id;
  std::string pid_namespace;  // "4026531836"; "" if unknown
  pid_t pid = 0;
  std::uint64_t started = 0;  // host.h, process_start

  bool operator==(const ProcessIdentity&) const = default;
};

ProcessIdentity this_process();

enum class Liveness {
  kAlive,
  kGone,
  kElsewhere  // under another kernel or in another pid name space: it cannot be seen from here
};
Liveness liveness_of(const ProcessIdentity& process);

// {host, boot_id, pid_namespace, pid, started}. Other members are left alone. nullopt for what is
// no identity; one without pid_namespace is elsewhere.
Json to_json(const ProcessIdentity& process);
std::optional<ProcessIdentity> process_identity_from(const Json& json);

// Sends a signal to that very process: false if it is gone, or was never here. Throws
// Error(kEnvironment) if it may not be signalled.
bool send_signal(const ProcessIdentity& process, int signal);

}  // namespace assay::supervise
