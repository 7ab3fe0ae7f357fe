#pragma once

#include <poll.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "harness/supervise/host.h"
#include "harness/supervise/report.h"
#include "harness/supervise/store.h"

namespace assay::supervise {

class Publisher;
class Slot;
class Watchdog;

// Owns the slots of this node. A slot has one executor for each provider, started when first
// needed or by warm(), kept warm, started again after its death. One thread, the main one
// (executors die with the thread that started them).
//
// start() may be called while the slot is busy: the stage waits in the slot's queue. One ahead
// hides the round trip to the coordinator; stages of a few milliseconds deserve more, since what
// finishes within publish_window_s is published with one sync. A finished stage is published at
// once when no slot has work left.
//
// Every started attempt ends with exactly one kPublished, kFailed, kFound or kTaken. Error(kIo) thrown by poll()
// means that the store cannot be written: stop the run.
class Supervisor {
 public:
  Supervisor(Store& store, SupervisorOptions options);
  ~Supervisor();  // kills all executors
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  std::size_t slots() const;
  std::size_t queued(std::size_t slot) const;  // running and waiting
  bool idle() const;                           // nothing runs, waits or is unpublished

  void start(std::size_t slot, Assignment assignment);

  // Starts the provider's executor on every slot that has none, so that a slot's first stage need
  // not wait for it.
  void warm(const std::string& provider);

  // Takes back a stage unless it has started: it ends as kFailed with kLost.
  void retract(const std::string& attempt);

  // Asks for a checkpoint and an early end; killed after `grace_s`. A waiting stage is dropped.
  // Both end as kFailed with kLost. Unknown attempts are ignored: they may just have ended.
  void stop(const std::string& attempt, double grace_s);
  void kill(const std::string& attempt, ErrorKind kind = ErrorKind::kLost,
            const std::string& message = "cancelled");

  // Waits until something happens, at most `timeout_s`, or until one of `extra` is ready (its
  // revents are set).
  std::vector<Report> poll(double timeout_s, std::span<pollfd> extra = {});

  // What poll() waits for: two for each executor that lives.
  std::vector<pollfd> descriptors() const;

  // Stops everything as stop() does, waits for it, lets the executors leave. Returns the last
  // reports.
  std::vector<Report> close(double grace_s);

 private:
  void watch();  // before the first executor is started
  double seconds_to_deadline() const;
  void excuse_pause(double asked_s);
  void turn(double timeout_s, std::span<pollfd> extra, bool& extra_ready);
  bool working() const;
  Slot* slot_of(const std::string& attempt) const;

  Store& store_;
  SupervisorOptions options_;
  std::unique_ptr<Watchdog> watchdog_;  // goes after the slots
  bool watched_ = false;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::unique_ptr<Publisher> publisher_;
  std::vector<Report> reports_;  // not handed out yet
  double turned_s_ = monotonic_seconds();  // when what executors say was looked at last
};

}  // namespace assay::supervise
