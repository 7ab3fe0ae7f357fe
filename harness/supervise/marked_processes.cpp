#include "harness/supervise/marked_processes.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace assay::supervise {
namespace {

constexpr int kKillRounds = 50;
constexpr std::size_t kBlock = 32768;
constexpr std::size_t kLongestMark = 1024;
constexpr std::size_t kMaxEnvironment = std::size_t{4} << 20;

// An entry of getdents64(2).
struct Entry {
  std::uint64_t inode;
  std::int64_t offset;
  unsigned short length;
  unsigned char type;
  char name[1];
};

bool found_in(const char* text, std::size_t size, const char* mark, std::size_t length) {
  for (const char* at = text; size >= length;) {
    const void* hit = ::memmem(at, size, mark, length);
    if (hit == nullptr) return false;
    const char* found = static_cast<const char*>(hit);
    if (found > text && found[-1] == '\0') return true;
    size -= static_cast<std::size_t>(found - at) + 1;
    at = found + 1;
  }
  return false;
}

bool carries(int proc, const char* pid, const char* mark, std::size_t length) {
  char path[64] = {};
  std::strncpy(path, pid, 32);
  std::strcat(path, "/environ");
  const int fd = ::openat(proc, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  // The end of one block stands before the next, so that a mark across both is seen. The first NUL
  // stands for the beginning of the environment.
  char text[kLongestMark + kBlock];
  text[0] = '\0';
  std::size_t filled = 1;
  bool found = false;
  for (std::size_t total = 0; !found && total < kMaxEnvironment;) {
    const ssize_t got = ::read(fd, text + filled, kBlock);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    total += static_cast<std::size_t>(got);
    filled += static_cast<std::size_t>(got);
    found = found_in(text, filled, mark, length);
    const std::size_t keep = filled < kLongestMark ? filled : kLongestMark;
    std::memmove(text, text + filled - keep, keep);
    filled = keep;
  }
  ::close(fd);
  return found;
}

bool kill_one(int proc, const char* name, const char* mark, std::size_t length) {
  const pid_t pid = static_cast<pid_t>(std::strtol(name, nullptr, 10));
  if (pid <= 1 || pid == ::getpid() || !carries(proc, name, mark, length)) return false;
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (pidfd < 0) return errno != ESRCH && ::kill(pid, SIGKILL) == 0;
  // Asked once more: from here on the descriptor stands for one process.
  const bool ours = carries(proc, name, mark, length);
  const bool sent = ours && ::syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, nullptr, 0) == 0;
  ::close(pidfd);
  return sent;
}

int kill_once(const char* mark, std::size_t length) {
  const int proc = ::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (proc < 0) return 0;
  int killed = 0;
  alignas(Entry) char entries[kBlock];
  for (;;) {
    const long size = ::syscall(SYS_getdents64, proc, entries, sizeof entries);
    if (size <= 0) break;
    for (long at = 0; at < size;) {
      const Entry& entry = *reinterpret_cast<const Entry*>(entries + at);
      at += entry.length;
      if (entry.name[0] < '1' || entry.name[0] > '9') continue;
      killed += kill_one(proc, entry.name, mark, length) ? 1 : 0;
    }
  }
  ::close(proc);
  return killed;
}

}  // namespace

int kill_marked(const char* mark, std::size_t length) {
  if (length == 0 || length >= kLongestMark) return 0;
  int total = 0;
  for (int round = 0; round < kKillRounds; ++round) {
    const int killed = kill_once(mark, length);
    if (killed == 0) break;
    total += killed;
    const timespec pause{0, 2'000'000};  // a killed process keeps its environment for a moment
    ::nanosleep(&pause, nullptr);
  }
  return total;
}

}  // namespace assay::supervise
