#pragma once

#include <filesystem>
#include <functional>

#include "harness/app/run_conductor.h"
#include "harness/app/run_ranks.h"
#include "harness/supervise/run_lock.h"
#include "harness/supervise/supervisor.h"

namespace assay::app {

// SIGINT, SIGTERM, SIGHUP and SIGUSR1 (a batch system's warning) as a descriptor. While it lives
// they interrupt nothing. Make it before any thread and any child.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  int descriptor() const { return descriptor_; }
  // The next signal that has arrived; 0: none.
  int next();

 private:
  int descriptor_ = -1;
};

// Turns the wheel of a run in the process that coordinates: descriptors of its own supervisor,
// messages of other ranks, signals and the clock go into the conductor; commands come out. Keeps
// status.json, the lock's heartbeat and the display up to date.
class LocalDriver {
 public:
  // `ranks`: nullptr without a launcher. Everything must outlive it.
  LocalDriver(Conductor& conductor, supervise::Supervisor& supervisor, LocalSite& site,
              Ranks* ranks, supervise::RunLock& lock, RunProgress& progress,
              std::filesystem::path status_file);

  // Until the conductor has finished. `renew` is called every ten minutes (the lease on artifacts).
  // Throws Error(kIo) or Error(kEnvironment) when store or database cannot be written; status.json
  // says "error" then.
  void run(const SiteOffer& offer, StopSignals& signals, const std::function<void()>& renew);

  void write_status(const RunStatus& status);

 private:
  void turn(const SiteOffer& offer, StopSignals& signals, const std::function<void()>& renew);
  void once(StopSignals& signals);
  void housekeeping(double now);
  void on_signal(int signal);

  Conductor& conductor_;
  supervise::Supervisor& supervisor_;
  LocalSite& site_;
  Ranks* ranks_;
  supervise::RunLock& lock_;
  RunProgress& progress_;
  const std::filesystem::path status_file_;
  Conductor::SiteId site_id_ = 0;
  double wait_s_ = 0;
  double last_tick_s_ = 0;
  int signals_seen_ = 0;
};

}  // namespace assay::app
