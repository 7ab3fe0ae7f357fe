#include "harness/app/local_driver.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "harness/core/atomic_file.h"
#include "harness/supervise/host.h"

namespace assay::app {
namespace {

constexpr double kTick = 1;
constexpr double kRenewSeconds = 600;
constexpr int kErrorExit = 4;
// With other ranks the messages must be looked for: a back-off costs an idle rank under 1 % of a
// core (measured), and wakes within twice the cap.
constexpr double kShortestWait = 50e-6;
constexpr double kLongestWait = 10e-3;

sigset_t stop_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) ::sigaddset(&set, signal);
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

StopSignals::~StopSignals() {
  ::close(descriptor_);
  const sigset_t set = stop_signals();
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

int StopSignals::next() {
  signalfd_siginfo info{};
  return ::read(descriptor_, &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo)
                                                                : 0;
}

LocalDriver::LocalDriver(Conductor& conductor, supervise::Supervisor& supervisor, LocalSite& site,
                         Ranks* ranks, supervise::RunLock& lock, RunProgress& progress,
                         std::filesystem::path status_file)
    : conductor_(conductor),
      supervisor_(supervisor),
      site_(site),
      ranks_(ranks),
      lock_(lock),
      progress_(progress),
      status_file_(std::move(status_file)) {}

void LocalDriver::run(const SiteOffer& offer, StopSignals& signals,
                      const std::function<void()>& renew) {
  try {
    turn(offer, signals, renew);
  } catch (...) {
    RunStatus status = conductor_.status();
    status.state = "error";
    status.exit_code = kErrorExit;
    try {
      write_status(status);
    } catch (const Error&) {  // the disk that is full; what went wrong first is what counts
    }
    throw;
  }
}

void LocalDriver::turn(const SiteOffer& offer, StopSignals& signals,
                       const std::function<void()>& renew) {
  conductor_.start();
  if (!conductor_.finish()) site_id_ = conductor_.join(site_, offer);
  conductor_.settle();
  housekeeping(supervise::monotonic_seconds());
  double renewed_s = supervise::monotonic_seconds();
  while (!conductor_.finish()) {
    once(signals);
    if (supervise::monotonic_seconds() - renewed_s < kRenewSeconds) continue;
    renewed_s = supervise::monotonic_seconds();
    renew();
  }
}

void LocalDriver::once(StopSignals& signals) {
  const double since_tick = supervise::monotonic_seconds() - last_tick_s_;
  double wait = std::clamp(kTick - since_tick, 0.0, kTick);
  if (ranks_ != nullptr) wait = std::min(wait, wait_s_);
  pollfd signal_fd{signals.descriptor(), POLLIN, 0};
  const auto reports = supervisor_.poll(wait, {&signal_fd, 1});
  for (const auto& report : reports) {
    site_.note(report);
    conductor_.take(site_id_, report);
  }
  const double now = supervise::monotonic_seconds();
  bool any = !reports.empty();
  if (ranks_ != nullptr) any = ranks_->pump(now) || any;
  while (const int signal = signals.next()) on_signal(signal);
  if (now - last_tick_s_ >= kTick) {
    conductor_.tick();
    housekeeping(now);
  }
  conductor_.settle();
  if (ranks_ != nullptr) ranks_->answer(now);
  wait_s_ = any ? kShortestWait : std::clamp(2 * wait_s_, kShortestWait, kLongestWait);
}

void LocalDriver::on_signal(int signal) {
  ++signals_seen_;
  const bool kill = signals_seen_ > 1;
  progress_.line(fmt::format(
      "{}: {}", ::strsignal(signal),
      kill ? "killing what runs"
           : "waiting for checkpoints of what runs; once more kills. The same command resumes"));
  conductor_.stop(schedule::StopReason::kSignal, kill, ::strsignal(signal));
}

void LocalDriver::housekeeping(double now) {
  last_tick_s_ = now;
  lock_.beat();
  const RunStatus status = conductor_.status();
  write_status(status);
  progress_.show(status);
}

void LocalDriver::write_status(const RunStatus& status) {
  write_file_atomically(
      status_file_, to_json(status).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace assay::app
