#include "harness/run/local_driver.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <cstring>

#include "harness/base/atomic_file.h"
#include "harness/run/cancel_request.h"
#include "harness/run/rank_messages.h"
#include "harness/supervise/host.h"

namespace assay::run {
namespace {

constexpr double kTick = 1;
constexpr double kRenewSeconds = 600;
constexpr int kErrorExit = 4;

}  // namespace

LocalDriver::LocalDriver(Conductor& conductor, supervise::Supervisor& supervisor,
                         LocalSupervisor& handle, Ranks* ranks, RunFolder& folder,
                         RunProgress& progress)
    : conductor_(conductor),
      supervisor_(supervisor),
      handle_(handle),
      ranks_(ranks),
      folder_(folder),
      progress_(progress) {}

void LocalDriver::run(const SupervisorOffer& offer, StopSignals& signals,
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

void LocalDriver::turn(const SupervisorOffer& offer, StopSignals& signals,
                       const std::function<void()>& renew) {
  conductor_.start();
  if (!conductor_.finish()) supervisor_id_ = conductor_.join(handle_, offer);
  conductor_.settle();
  housekeeping(supervise::monotonic_seconds());
  double renewed_s = supervise::monotonic_seconds();
  while (!conductor_.finish() || !conductor_.settled()) {
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
    conductor_.take(supervisor_id_, report);
  }
  const double now = supervise::monotonic_seconds();
  bool any = !reports.empty();
  if (ranks_ != nullptr) any = ranks_->pump(now) || any;
  listen(signals);
  if (now - last_tick_s_ >= kTick) {
    conductor_.tick();
    housekeeping(now);
  }
  conductor_.settle();
  if (ranks_ != nullptr) ranks_->answer(now);
  wait_s_ = any ? kShortestWait : std::clamp(2 * wait_s_, kShortestWait, kLongestWait);
}

void LocalDriver::listen(StopSignals& signals) {
  while (const auto signal = signals.next()) {
    ask_to_stop(*signal, true, ::strsignal(signal->number));
  }
  if (ranks_ == nullptr) return;
  for (const StopSignal& signal : ranks_->signals()) {
    ask_to_stop(signal, false, ::strsignal(signal.number));
  }
}

void LocalDriver::ask_to_stop(const StopSignal& signal, bool here, const std::string& name) {
  const StopWish wish = wishes_.take(signal, here, supervise::monotonic_seconds());
  if (wish == StopWish::kNone) return;
  const bool kill = wish == StopWish::kKill;
  if (kill && !conductor_.settled()) {
    throw Error(ErrorKind::kEnvironment,
                fmt::format("{}: stopped while another process held the results database; what was "
                            "published is safe in the store, give the same command again",
                            name));
  }
  const double grace_s = signal.from_launcher ? launcher_grace_s() : -1;
  std::string text = kill ? "killing what runs" : "waiting for checkpoints of what runs";
  if (!kill && signal.from_launcher) {
    text += fmt::format(
        " for {:g} s, then mpirun kills this job; `mpirun --mca "
        "odls_base_sigkill_timeout 30` gives it more time",
        grace_s);
  } else if (!kill) {
    text += "; once more kills. The same command resumes";
  }
  progress_.line(fmt::format("{}: {}", name, text));
  conductor_.stop(schedule::StopReason::kSignal, kill, name, grace_s);
}

void LocalDriver::housekeeping(double now) {
  last_tick_s_ = now;
  folder_.lock().beat();
  if (cancel_requested(folder_.path(), folder_.lock().token())) {
    ask_to_stop({SIGTERM, false}, false, "assay cancel");
  }
  const RunStatus status = conductor_.status();
  write_status(status);
  progress_.show(status);
}

void LocalDriver::write_status(const RunStatus& status) {
  write_file_atomically(
      folder_.status_file(),
      to_json(status).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace assay::run
