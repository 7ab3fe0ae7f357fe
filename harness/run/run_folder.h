#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "harness/supervise/run_lock.h"

namespace assay::run {

// The folder of a run, locked while this object lives. run.json: {"id", "sweep", "created_unix_s"};
// the id is made once and names the run in the store (results that are valid in this run only).
class RunFolder {
 public:
  // Takes the lock, then makes what is missing, so that two runs that start at once see one id;
  // removes what a killed run left half-written. Throws Error(kIo), Error(kEnvironment) if another
  // run holds the lock, Error(kConfig) if the folder holds the run of another sweep.
  RunFolder(const std::filesystem::path& path, const std::string& sweep);

  const std::filesystem::path& path() const { return path_; }
  const std::string& id() const { return id_; }
  std::filesystem::path logs() const { return path_ / "logs"; }
  std::filesystem::path database() const { return path_ / "results.sqlite"; }
  std::filesystem::path status_file() const { return path_ / "status.json"; }
  supervise::RunLock& lock() { return *lock_; }

  // Moves a damaged database (with its journals) out of the way; returns where to.
  std::filesystem::path move_database_aside() const;

 private:
  std::filesystem::path path_;
  std::optional<supervise::RunLock> lock_;
  std::string id_;
};

}  // namespace assay::run
