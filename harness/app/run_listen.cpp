#include "harness/app/run_listen.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <exception>
#include <future>
#include <thread>

#include "harness/app/run_command.h"
#include "harness/supervise/host.h"

namespace assay::app {
namespace {

constexpr double kFarewellSeconds = 0.5;
constexpr int kWaitMs = 10;

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
  double until = 0;
  for (;;) {
    pollfd waited[2] = {{wake[0], POLLIN, 0}, {signals.descriptor(), POLLIN, 0}};
    ::poll(waited, 2, ranks != nullptr || signal ? kWaitMs : -1);
    if (waited[0].revents != 0) break;
    const double now = supervise::monotonic_seconds();
    if (ranks != nullptr) {
      ranks->pump(now);
      ranks->answer(now);
    }
    std::optional<StopSignal> next = signals.next();
    if (ranks != nullptr && !next) {
      const auto others = ranks->signals();
      if (!others.empty()) next = others.front();
    }
    if (next && !signal) {
      signal = next;
      stopped = true;
      until = now + kFarewellSeconds;
    }
    if (signal && now >= until) {
      abandon(*signal);
      ::_exit(kStopped);
    }
  }
  ::close(wake[0]);
  thread.join();
  if (!signal) ended.get();  // after a signal it may have ended in any way
  return signal;
}

}  // namespace assay::app
