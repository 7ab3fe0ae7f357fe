#include "harness/supervise/watchdog.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "harness/base/error.h"
#include "harness/supervise/marked_processes.h"

namespace assay::supervise {
namespace {

[[noreturn]] void fail(int code) {
  throw Error(ErrorKind::kEnvironment,
              fmt::format("cannot start the watchdog of the executors: {}", std::strerror(code)));
}

// In the child, which may only make system calls: the program may have had threads.
[[noreturn]] void watch(int pipe, const std::string& mark) {
  ::setsid();  // no signal of the terminal or the batch system's process group
  ::prctl(PR_SET_NAME, "assay-watchdog");
  if (::dup2(pipe, 0) < 0) ::_exit(1);
  ::closefrom(1);  // who reads our output must not wait for us
  char byte = 0;
  ssize_t got = 0;
  do got = ::read(0, &byte, 1);
  while (got > 0 || (got < 0 && errno == EINTR));
  kill_marked(mark.data(), mark.size());
  ::_exit(0);
}

}  // namespace

Watchdog::Watchdog(const std::string& mark) {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) fail(errno);
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);  // it never unblocks them
  const pid_t pid = ::fork();
  const int code = errno;
  if (pid == 0) {
    // Twice, so that it is no child of this process, which waits for its children.
    const pid_t inner = ::fork();
    if (inner != 0) ::_exit(inner < 0 ? 1 : 0);
    ::close(ends[1]);
    watch(ends[0], mark);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::close(ends[0]);
  int status = 0;
  if (pid > 0) {
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
  }
  if (pid < 0 || status != 0) {
    ::close(ends[1]);
    fail(pid < 0 ? code : EAGAIN);
  }
  pipe_ = ends[1];
}

Watchdog::~Watchdog() { ::close(pipe_); }

}  // namespace assay::supervise
