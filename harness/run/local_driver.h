#pragma once

#include <functional>
#include <string>

#include "harness/run/conductor.h"
#include "harness/run/ranks.h"
#include "harness/run/run_folder.h"
#include "harness/run/stop_signals.h"
#include "harness/supervise/supervisor.h"

namespace assay::run {

// The event loop of a run in the process that coordinates: descriptors of its own supervisor,
// messages of other ranks, signals, requests to cancel and the clock go into the conductor,
// commands come out. Keeps status.json, the lock's heartbeat and the display up to date.
class LocalDriver {
 public:
  // `ranks`: nullptr without a launcher. Everything must outlive it.
  LocalDriver(Conductor& conductor, supervise::Supervisor& supervisor, LocalSupervisor& handle,
              Ranks* ranks, RunFolder& folder, RunProgress& progress);

  // Until the conductor has finished and its records are written. `renew` is called every ten
  // minutes (the lease on artifacts). Throws Error(kIo) or Error(kEnvironment) when store or
  // database cannot be written; status.json says "error" then.
  void run(const SupervisorOffer& offer, StopSignals& signals, const std::function<void()>& renew);

  void write_status(const RunStatus& status);

 private:
  void turn(const SupervisorOffer& offer, StopSignals& signals, const std::function<void()>& renew);
  void once(StopSignals& signals);
  void housekeeping(double now);
  void listen(StopSignals& signals);
  void ask_to_stop(const StopSignal& signal, bool here, const std::string& name);

  Conductor& conductor_;
  supervise::Supervisor& supervisor_;
  LocalSupervisor& handle_;
  Ranks* ranks_;
  RunFolder& folder_;
  RunProgress& progress_;
  Conductor::SupervisorId supervisor_id_ = 0;
  double wait_s_ = 0;
  double last_tick_s_ = 0;
  StopWishes wishes_;
};

}  // namespace assay::run
