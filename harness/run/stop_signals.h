#pragma once

#include <optional>
#include <vector>

namespace assay::run {

// A signal that asks a run to stop.
struct StopSignal {
  int number = 0;
  bool from_launcher = false;  // mpirun ends the job: SIGKILL follows soon (launcher_grace_s)

  bool operator==(const StopSignal&) const = default;
};

// SIGINT, SIGTERM, SIGHUP and SIGUSR1 (a batch system's warning) as a descriptor; under Open MPI
// also the SIGCONT with which mpirun begins to end a job. They interrupt nothing from then on, also
// after the object is gone: what arrives while a run ends must not change its exit code. A signal
// that was ignored at the start (nohup, background jobs of a shell) stays ignored. Make it before
// any thread, those of MPI included: a signal goes to any thread that does not block it.
class StopSignals {
 public:
  StopSignals();  // throws Error(kEnvironment)
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  int descriptor() const { return descriptor_; }
  // The next one that has arrived.
  std::optional<StopSignal> next();

 private:
  int descriptor_ = -1;
};

// Seconds that stages have for a last checkpoint once mpirun ends the job: it sends SIGCONT, after
// odls_base_sigkill_timeout seconds (1 unless set) SIGTERM, after as many SIGKILL. One second is
// kept for the records.
double launcher_grace_s();

enum class StopWish {
  kNone,        // said before
  kCheckpoint,  // stop with checkpoints
  kKill         // do not wait for them
};

// What the stop signals of a run ask for. Batch systems and launchers repeat themselves, and every
// rank hears of one stop: what comes within kOneWishSeconds of the first signal is the same wish,
// except for a second SIGINT to this process, which somebody typed. mpirun's own signals are never
// a second wish.
class StopWishes {
 public:
  static constexpr double kOneWishSeconds = 5;

  // `here`: it was sent to this process, not to another rank.
  StopWish take(const StopSignal& signal, bool here, double now_s);

 private:
  bool asked_ = false;
  bool interrupted_ = false;
  double first_s_ = 0;
};

}  // namespace assay::run
