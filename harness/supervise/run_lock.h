#pragma once

#include <filesystem>
#include <string>

namespace assay::supervise {

// run.lock in the run folder: {host, boot_id, pid, started, token, command}; its time of change is
// the heartbeat. Held by one process at a time, taken before the database opens. A lock is stale if
// its process is gone (same host: pid and start time; after a reboot: boot id) or, on another host,
// if there was no heartbeat for kStaleSeconds.
class RunLock {
 public:
  static constexpr double kStaleSeconds = 120;

  // Makes the folder if needed. Throws Error(kEnvironment) naming host and pid of the live holder.
  explicit RunLock(const std::filesystem::path& run_folder);
  ~RunLock();  // releases it
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  // Call every few seconds. Throws Error(kEnvironment) if another process took the lock.
  void beat();

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::string content_;
  double last_beat_s_ = 0;
};

}  // namespace assay::supervise
