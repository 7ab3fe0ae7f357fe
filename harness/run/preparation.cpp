#include "harness/run/preparation.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <exception>
#include <future>
#include <thread>

#include "harness/base/log.h"
#include "harness/run/run_sweep.h"
#include "harness/supervise/host.h"

namespace assay::run {
namespace {

constexpr double kFarewellSeconds = 0.5;
constexpr int kWaitMs = 10;

[[noreturn]] void leave(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& e) {
    log_error("{}", e.what());
  } catch (...) {
    log_error("the other ranks cannot be served");
  }
  ::_exit(kNoEnvironment);
}

}  // namespace

std::optional<StopSignal> listen_during(
    StopSignals& signals, Ranks* ranks,
    const std::function<void(const std::atomic<bool>& stopped)>& work,
    const std::function<void(const StopSignal&)>& abandon) {
  std::atomic<bool> stopped = false;
  std::promise<void> promise;
  std::future<void> ended = promise.get_future();
  int wake[2] = {-1, -1};
  if (::pipe2(wake, O_CLOEXEC) != 0)
    throw Error(ErrorKind::kEnvironment, "pipe failed: no descriptors left");
  std::thread thread([&] {
    try {
      work(stopped);
      promise.set_value();
    } catch (...) {
      promise.set_exception(std::current_exception());
    }
    ::close(wake[1]);  // wakes the other thread
  });
  std::optional<StopSignal> signal;
  std::exception_ptr failure;  // of this thread: the other ranks could not be served
  double until = 0;
  for (;;) {
    pollfd waited[2] = {{wake[0], POLLIN, 0}, {signals.descriptor(), POLLIN, 0}};
    ::poll(waited, 2, ranks != nullptr || stopped ? kWaitMs : -1);
    if (waited[0].revents != 0) break;
    const double now = supervise::monotonic_seconds();
    std::optional<StopSignal> next = signals.next();
    try {
      if (ranks != nullptr && !failure) {
        ranks->pump(now);
        ranks->answer(now);
        const auto others = ranks->signals();
        if (!next && !others.empty()) next = others.front();
      }
    } catch (...) {
      failure = std::current_exception();
    }
    if ((next || failure) && !stopped) {
      signal = next;
      stopped = true;
      until = now + kFarewellSeconds;
    }
    if (!stopped || now < until) continue;
    if (failure) leave(failure);
    abandon(*signal);
    ::_exit(kStopped);
  }
  ::close(wake[0]);
  thread.join();
  if (failure) std::rethrow_exception(failure);
  if (!signal) ended.get();  // after a signal it may have ended in any way
  return signal;
}

}  // namespace assay::run
