#include "harness/run/stop_signals.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "harness/base/error.h"

namespace assay::run {
namespace {

constexpr double kRecordsSeconds = 1;
constexpr double kShortestGrace = 0.5;

double number_of(const char* variable, double otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtod(text, nullptr);
}

// mpirun passes SIGCONT on to a job that it has suspended, if it was told to.
bool ends_by_sigcont() {
  return std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr &&
         number_of("OMPI_MCA_orte_forward_job_control", 0) == 0;
}

bool is_ignored(int signal) {
  struct sigaction action {};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

sigset_t stop_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) {
    // A blocked signal would be queued although it is ignored.
    if (!is_ignored(signal)) ::sigaddset(&set, signal);
  }
  if (ends_by_sigcont()) ::sigaddset(&set, SIGCONT);
  return set;
}

}  // namespace

StopSignals::StopSignals() {
  const sigset_t set = stop_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  descriptor_ = ::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  if (descriptor_ < 0) {
    throw Error(ErrorKind::kEnvironment, fmt::format("signalfd: {}", std::strerror(errno)));
  }
}

StopSignals::~StopSignals() { ::close(descriptor_); }

std::optional<StopSignal> StopSignals::next() {
  signalfd_siginfo info{};
  while (::read(descriptor_, &info, sizeof info) == sizeof info) {
    const int number = static_cast<int>(info.ssi_signo);
    const bool launcher = std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr &&
                          info.ssi_pid == static_cast<std::uint32_t>(::getppid());
    if (number == SIGCONT && !launcher) continue;  // somebody woke a suspended process
    // What mpirun only forwards (SIGUSR1) is not the end of the job.
    return StopSignal{number, launcher && (number == SIGCONT || number == SIGTERM)};
  }
  return std::nullopt;
}

double launcher_grace_s() {
  const double wait = number_of("OMPI_MCA_odls_base_sigkill_timeout", 1);
  return std::clamp(2 * wait - kRecordsSeconds, kShortestGrace, 30.0);
}

StopWish StopWishes::take(const StopSignal& signal, bool here, double now_s) {
  const bool typed = here && signal.number == SIGINT;
  const bool typed_before = interrupted_;
  interrupted_ = interrupted_ || typed;
  if (!asked_) {
    asked_ = true;
    first_s_ = now_s;
    return StopWish::kCheckpoint;
  }
  if (signal.from_launcher) return StopWish::kNone;
  const bool again = (typed && typed_before) || now_s - first_s_ >= kOneWishSeconds;
  return again ? StopWish::kKill : StopWish::kNone;
}

}  // namespace assay::run
