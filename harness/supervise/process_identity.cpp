#include "harness/supervise/process_identity.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>
#include <system_error>

#include "harness/base/error.h"
#include "harness/supervise/host.h"

namespace assay::supervise {
namespace {

// "4026531836" of "pid:[4026531836]"
std::string pid_namespace() {
  std::error_code code;
  const std::string link = std::filesystem::read_symlink("/proc/self/ns/pid", code).string();
  std::string digits;
  std::copy_if(link.begin(), link.end(), std::back_inserter(digits),
               [](char c) { return c >= '0' && c <= '9'; });
  return digits;
}

}  // namespace

ProcessIdentity this_process() {
  return {host_name(), boot_id(), pid_namespace(), ::getpid(), process_start(::getpid())};
}

Liveness liveness_of(const ProcessIdentity& process) {
  const bool here = !process.boot_id.empty() && !process.pid_namespace.empty() &&
                    process.boot_id == boot_id() && process.pid_namespace == pid_namespace();
  if (!here) return Liveness::kElsewhere;
  const bool alive = process.started != 0 && process_start(process.pid) == process.started;
  return alive ? Liveness::kAlive : Liveness::kGone;
}

Json to_json(const ProcessIdentity& process) {
  return {{"host", process.host},
          {"boot_id", process.boot_id},
          {"pid_namespace", process.pid_namespace},
          {"pid", process.pid},
          {"started", process.started}};
}

std::optional<ProcessIdentity> process_identity_from(const Json& json) {
  try {
    ProcessIdentity process;
    process.host = json.at("host").get<std::string>();
    process.boot_id = json.at("boot_id").get<std::string>();
    process.pid_namespace = json.value("pid_namespace", std::string());
    const auto pid = json.at("pid").get<std::int64_t>();
    if (pid <= 0 || pid > std::numeric_limits<pid_t>::max()) return std::nullopt;
    process.pid = static_cast<pid_t>(pid);
    process.started = json.at("started").get<std::uint64_t>();
    return process;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

bool send_signal(const ProcessIdentity& process, int signal) {
  // The descriptor holds on to the process: if it is the right one after it was opened, no other
  // can get the signal.
  const int descriptor = static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0));
  const bool alive = liveness_of(process) == Liveness::kAlive;
  int result = 0;
  if (alive && descriptor >= 0) {
    result = static_cast<int>(::syscall(SYS_pidfd_send_signal, descriptor, signal, nullptr, 0));
  } else if (alive) {  // a kernel before 5.3
    result = ::kill(process.pid, signal);
  }
  const int code = errno;
  if (descriptor >= 0) ::close(descriptor);
  if (!alive || (result != 0 && code == ESRCH)) return false;
  if (result != 0) {
    throw Error(ErrorKind::kEnvironment,
                fmt::format("process {} on {} cannot be signalled: {}", process.pid, process.host,
                            std::strerror(code)));
  }
  return true;
}

}  // namespace assay::supervise
