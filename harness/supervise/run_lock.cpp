#include "harness/supervise/run_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <random>
#include <system_error>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/base/json.h"
#include "harness/supervise/host.h"
#include "harness/supervise/process_identity.h"

namespace assay::supervise {
namespace fs = std::filesystem;
namespace {

constexpr double kBeatSeconds = 10;
constexpr double kWritingSeconds = 10;  // older than that, no process holds an unreadable lock
constexpr std::size_t kMaxLockBytes = 4096;

std::string fresh_token() {
  std::random_device entropy;
  return fmt::format("{:08x}{:08x}", entropy(), entropy());
}

std::string content_with(const std::string& token) {
  Json json = to_json(this_process());
  json["token"] = token;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

bool write_all(int fd, const std::string& content) {
  return ::write(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size());
}

// Gives a name to a file that is already whole, so that a kill leaves no empty lock. Nothing where
// the file system has no files without a name (NFS).
std::optional<bool> create_whole(const fs::path& path, const std::string& content) {
  const int fd = ::open(path.parent_path().c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0644);
  if (fd < 0) return {};
  std::optional<bool> made;
  if (write_all(fd, content)) {
    const std::string unnamed = fmt::format("/proc/self/fd/{}", fd);
    if (::linkat(AT_FDCWD, unnamed.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0) {
      made = true;
    } else if (errno == EEXIST) {
      made = false;
    }
  }
  ::close(fd);
  return made;
}

// Makes the file if there is none. False if there is.
bool create(const fs::path& path, const std::string& content) {
  if (const std::optional<bool> made = create_whole(path, content)) return *made;
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0 && errno == EEXIST) return false;
  const bool written = fd >= 0 && write_all(fd, content);
  const int code = errno;
  if (fd >= 0) ::close(fd);
  if (written) return true;
  if (fd >= 0) ::unlink(path.c_str());
  throw Error(ErrorKind::kIo,
              fmt::format("cannot write {}: {}", path.string(), std::strerror(code)),
              {{"file", path.string()}});
}

// The content, or "" if the file is gone.
std::string content_of(const fs::path& path) {
  try {
    return read_file(path, kMaxLockBytes);
  } catch (const Error&) {
    std::error_code code;
    if (!fs::exists(path, code)) return "";
    throw;
  }
}

double silent_s(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return 0;
  return unix_seconds() - static_cast<double>(status.st_mtim.tv_sec);
}

// Who holds the lock, for the error; "" if nobody does any more.
std::string live_holder(const fs::path& path, const std::string& content) {
  std::optional<ProcessIdentity> holder;
  try {
    holder = process_identity_from(parse_json(content, path.string()));
  } catch (const Error&) {
    // No JSON: as below.
  }
  const double silent = silent_s(path);
  if (!holder) {  // being written, or cut short by a power failure
    return silent > kWritingSeconds
               ? ""
               : fmt::format(
                     "a process that is just starting (run.lock names none; if there is "
                     "none, it is taken over {:g} s after it was written)",
                     kWritingSeconds);
  }
  const std::string who = fmt::format("process {} on {}", holder->pid, holder->host);
  switch (liveness_of(*holder)) {
    case Liveness::kAlive:
      return who;
    case Liveness::kGone:
      return "";
    case Liveness::kElsewhere:
      break;
  }
  if (silent > RunLock::kStaleSeconds) return "";
  return fmt::format(
      "{} (cannot be checked from here: another machine, boot or container; its last "
      "sign of life is {:.0f} s old, the folder is taken over after {:g} s)",
      who, std::max(0.0, silent), RunLock::kStaleSeconds);
}

void refuse_irregular(const fs::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || S_ISREG(status.st_mode)) return;
  throw Error(ErrorKind::kEnvironment,
              fmt::format("{} is {}, not the lock that a run makes; remove it", path.string(),
                          S_ISLNK(status.st_mode) ? "a symbolic link" : "no regular file"),
              {{"file", path.string()}});
}

}  // namespace

RunLock::RunLock(const fs::path& run_folder)
    : path_(run_folder / "run.lock"), token_(fresh_token()), content_(content_with(token_)) {
  std::error_code code;
  fs::create_directories(run_folder, code);
  if (code)
    throw Error(ErrorKind::kIo, fmt::format("cannot make the run folder {}: {}",
                                            run_folder.string(), code.message()));
  while (!create(path_, content_)) {
    refuse_irregular(path_);
    const std::string found = content_of(path_);
    const std::string holder = live_holder(path_, found);
    if (!holder.empty())
      throw Error(ErrorKind::kEnvironment,
                  fmt::format("{} is in use by {}; wait for that run, or end it with `assay cancel "
                              "{}`",
                              run_folder.string(), holder, run_folder.string()),
                  {{"file", path_.string()}, {"holder", holder}});
    // Only one of several that found it stale gets to move it; if meanwhile another one has put its
    // own lock there, that one goes back.
    const fs::path aside = path_.string() + ".stale." + token_;
    if (::rename(path_.c_str(), aside.c_str()) != 0) continue;
    if (content_of(aside) != found) {
      [[maybe_unused]] const int result = ::link(aside.c_str(), path_.c_str());
    }
    ::unlink(aside.c_str());
  }
  last_beat_s_ = monotonic_seconds();
}

RunLock::~RunLock() {
  try {
    if (content_of(path_) == content_) ::unlink(path_.c_str());
  } catch (const std::exception&) {
    // Unreadable: it will be found stale.
  }
}

void RunLock::beat() {
  const double now = monotonic_seconds();
  if (now - last_beat_s_ < kBeatSeconds) return;
  last_beat_s_ = now;
  if (content_of(path_) != content_)
    throw Error(ErrorKind::kEnvironment,
                fmt::format("{} was taken by another process; this run stops", path_.string()),
                {{"file", path_.string()}});
  ::utimensat(AT_FDCWD, path_.c_str(), nullptr, 0);
}

}  // namespace assay::supervise
