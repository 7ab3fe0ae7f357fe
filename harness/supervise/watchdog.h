#pragma once

#include <string>

namespace assay::supervise {

// Outlives this process by a moment, however it ends: a process of its own that waits for the end
// of a pipe and then kills everything that carries a mark (marked_processes.h). PR_SET_PDEATHSIG
// reaches executors only; a shell's, conda's or a data loader's children would run on.
class Watchdog {
 public:
  // Starts it. Throws Error(kEnvironment) if it cannot be started.
  explicit Watchdog(const std::string& mark);
  ~Watchdog();  // it does its work and leaves
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  int pipe_ = -1;  // nothing is ever written into it
};

}  // namespace assay::supervise
