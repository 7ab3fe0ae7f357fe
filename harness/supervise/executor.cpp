#include "harness/supervise/executor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "harness/base/error.h"

namespace assay::supervise {
namespace {

// One call of receive() takes no more, so that a talkative executor cannot keep the supervisor.
constexpr std::size_t kMaxBytesAtOnce = std::size_t{128} << 10;

[[noreturn]] void fail(const std::string& what, int code) {
  throw Error(ErrorKind::kEnvironment,
              fmt::format("cannot start an executor: {}: {}{}", what, std::strerror(code),
                          mend_of(code)));
}

int open_output(const std::filesystem::path& path) {
  const int fd =
      path.empty() ? ::memfd_create("executor output", MFD_CLOEXEC)
                   : ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) fail("its output " + path.string(), errno);
  if (path.empty())
    ::fcntl(fd, F_SETFL, O_APPEND);
  else
    ::unlink(path.c_str());  // leaves nothing behind, however we end
  return fd;
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

}  // namespace

Executor::Executor(const Command& command, std::string name, const std::filesystem::path& output)
    : name_(std::move(name)), reader_(name_) {
  output_ = open_output(output);
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    const int code = errno;
    ::close(output_);
    fail("socketpair", code);
  }
  socket_ = ends[0];
  ::fcntl(socket_, F_SETFL, O_NONBLOCK);
  oom_kills_ = cgroup_oom_kills();
  try {
    pid_ = spawn(command, output_, ends[1]);
  } catch (...) {
    for (const int each : {output_, ends[0], ends[1]}) ::close(each);
    throw;
  }
  ::close(ends[1]);
  // Kernels before 5.3, old seccomp profiles and a full table of descriptors refuse it.
  pidfd_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
  // Asked for with each stage, so they are opened once.
  status_ = ::open(fmt::format("/proc/{}/status", pid_).c_str(), O_RDONLY | O_CLOEXEC);
  clear_refs_ = ::open(fmt::format("/proc/{}/clear_refs", pid_).c_str(), O_WRONLY | O_CLOEXEC);
  if (::clock_getcpuclockid(pid_, &clock_) != 0) clock_ = kNoClock;
}

Executor::~Executor() {
  if (!dead_) {
    kill();
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
  }
  for (const int each : {socket_, pidfd_, output_, status_, clear_refs_}) {
    if (each >= 0) ::close(each);
  }
}

void Executor::send(protocol::Message message) {
  unsent_ += protocol::encode(std::move(message));
  flush();
}

void Executor::flush() {
  while (!unsent_.empty()) {
    const ssize_t sent =
        ::send(socket_, unsent_.data(), unsent_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      unsent_.erase(0, static_cast<std::size_t>(sent));
      continue;
    }
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    unsent_.clear();  // it closed the socket: receive() and reap() tell
    return;
  }
}

std::vector<protocol::Message> Executor::receive() {
  std::vector<protocol::Message> messages;
  char block[16384];
  std::size_t total = 0;
  while (total < kMaxBytesAtOnce && !at_end_) {
    const ssize_t got = ::recv(socket_, block, sizeof block, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (got <= 0) {
      at_end_ = true;
      break;
    }
    total += static_cast<std::size_t>(got);
    reader_.feed({block, static_cast<std::size_t>(got)});
    while (const std::optional<std::string> line = reader_.next())
      messages.push_back(protocol::decode(*line, name_));
    if (static_cast<std::size_t>(got) < sizeof block) break;
  }
  return messages;
}

std::optional<Death> Executor::reap() {
  if (dead_) return std::nullopt;
  siginfo_t ended{};
  if (::waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOHANG | WNOWAIT) != 0) {
    if (errno == EINTR) return std::nullopt;
    dead_ = true;  // its number may be another process's by now: no signal
    return Death{ErrorKind::kLost, "the executor was reaped by somebody else", -1, 0};
  }
  if (ended.si_pid == 0) return std::nullopt;
  // What it started goes with it; before its number is free for another process.
  ::kill(-pid_, SIGKILL);
  int status = 0;
  struct rusage usage {};
  pid_t got = 0;
  do got = ::wait4(pid_, &status, 0, &usage);
  while (got < 0 && errno == EINTR);
  dead_ = true;
  final_cpu_s_ = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  final_peak_bytes_ = static_cast<std::int64_t>(usage.ru_maxrss) * 1024;
  return classify_death(status, cgroup_oom_kills() - oom_kills_);
}

void Executor::kill_group() {
  if (!dead_) ::kill(-pid_, SIGKILL);
}

void Executor::kill() {
  if (dead_) return;
  // Its group exists once it has called setsid, before exec returned control to us.
  ::kill(-pid_, SIGKILL);
  ::kill(pid_, SIGKILL);
}

double Executor::cpu_s() const {
  if (dead_) return final_cpu_s_;
  timespec time{};
  if (clock_ == kNoClock || ::clock_gettime(clock_, &time) != 0) return -1;
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

std::int64_t Executor::peak_memory_bytes() const {
  if (dead_) return final_peak_bytes_;
  char text[4096];
  const ssize_t got = ::pread(status_, text, sizeof text - 1, 0);
  if (got <= 0) return -1;
  text[got] = '\0';
  const char* line = std::strstr(text, "VmHWM:");
  return line == nullptr ? -1 : std::strtoll(line + 6, nullptr, 10) * 1024;
}

void Executor::reset_peak_memory() {
  // 5: the high-water mark only; no page is touched.
  [[maybe_unused]] const ssize_t written = ::write(clear_refs_, "5", 1);
}

std::int64_t Executor::output_bytes() const {
  struct stat status {};
  return ::fstat(output_, &status) == 0 ? status.st_size : 0;
}

std::string Executor::output(std::int64_t from, std::int64_t to) const {
  std::string text(static_cast<std::size_t>(std::max<std::int64_t>(0, to - from)), '\0');
  std::size_t filled = 0;
  while (filled < text.size()) {
    const ssize_t got = ::pread(output_, text.data() + filled, text.size() - filled,
                                from + static_cast<std::int64_t>(filled));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    filled += static_cast<std::size_t>(got);
  }
  text.resize(filled);
  return text;
}

void Executor::forget_output(std::int64_t to) {
  if (to <= 0) return;
  // Without support the space stays taken until the executor ends.
  [[maybe_unused]] const int result =
      ::fallocate(output_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, to);
}

}  // namespace assay::supervise
