#pragma once

#include <filesystem>
#include <string>

namespace assay::supervise {

// run.lock in the run folder: {host, boot_id, pid_namespace, pid, started, token}; its time of
// change is the heartbeat. Held by one process at a time, taken before anything else in the folder
// is read or written. A lock is stale if its process is gone or, where that cannot be seen (another
// machine, another boot, another pid name space), if there was no heartbeat for kStaleSeconds.
class RunLock {
 public:
  static constexpr double kStaleSeconds = 120;

  // Makes the folder if needed. Throws Error(kEnvironment) naming host and pid of the live holder,
  // or if run.lock is no regular file.
  explicit RunLock(const std::filesystem::path& run_folder);
  ~RunLock();  // releases it
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  // Call every few seconds. Throws Error(kEnvironment) if another process took the lock.
  void beat();

  const std::filesystem::path& path() const { return path_; }
  const std::string& token() const { return token_; }  // differs from that of any other lock

 private:
  std::filesystem::path path_;
  std::string token_;
  std::string content_;
  double last_beat_s_ = 0;
};

}  // namespace assay::supervise
