#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "harness/exec/channel.h"

namespace assay::exec {

// Says `alive` for one attempt as long as it exists, at once and then every `period_s` seconds,
// from a thread of its own that does nothing else: a stage that computes for minutes without a word
// is told apart from an executor that is gone.
class Heartbeat {
 public:
  Heartbeat(Channel& channel, const std::string& attempt, double period_s = 5.0);
  ~Heartbeat();
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

 private:
  void beat(double period_s);

  Channel& channel_;
  protocol::Message alive_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace assay::exec
