#include "harness/exec/heartbeat.h"

#include <chrono>

#include "harness/base/error.h"

namespace assay::exec {

Heartbeat::Heartbeat(Channel& channel, const std::string& attempt, double period_s)
    : channel_(channel) {
  alive_.type = protocol::Type::kAlive;
  alive_.attempt = attempt;
  channel_.send(alive_);
  thread_ = std::thread([this, period_s] { beat(period_s); });
}

Heartbeat::~Heartbeat() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ended_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Heartbeat::beat(double period_s) {
  const std::chrono::duration<double> period(period_s);
  std::unique_lock<std::mutex> lock(mutex_);
  while (!wake_.wait_for(lock, period, [this] { return ended_; })) {
    try {
      channel_.send(alive_);
    } catch (const Error&) {
      return;  // the main thread meets the same end of the stream and acts on it
    }
  }
}

}  // namespace assay::exec
