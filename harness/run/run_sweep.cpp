#include "harness/run/run_sweep.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include "harness/base/atomic_file.h"
#include "harness/base/log.h"
#include "harness/base/say.h"
#include "harness/run/build_info.h"
#include "harness/run/inventory.h"
#include "harness/run/launcher.h"
#include "harness/run/local_driver.h"
#include "harness/run/node_slots.h"
#include "harness/run/numerics.h"
#include "harness/run/preparation.h"
#include "harness/run/rank_loop.h"
#include "harness/run/results_database.h"
#include "harness/run/run_folder.h"
#include "harness/run/setup.h"
#include "harness/run/summary.h"
#include "harness/supervise/host.h"
#include "harness/supervise/process_identity.h"

namespace assay::run {
namespace {

constexpr double kLeaseSeconds = 3600;
constexpr double kDismissSeconds = 10;
constexpr double kEndPatienceSeconds = 60;

int exit_code_of(schedule::Outcome outcome) {
  switch (outcome) {
    case schedule::Outcome::kAllDone:
      return kDone;
    case schedule::Outcome::kSomeFailed:
    case schedule::Outcome::kTooManyFailures:
      return kFailures;
    case schedule::Outcome::kStopped:
      return kStopped;
    case schedule::Outcome::kEnvironment:
      break;
  }
  return kNoEnvironment;
}

std::string_view state_of(int exit_code) {
  constexpr std::string_view kStates[] = {"done", "failed", "error", "stopped", "error"};
  return kStates[exit_code];
}

// This host and those of the other ranks. Waits for their hellos while `go_on` says so.
std::vector<supervise::HostNumerics> hosts_of_run(Ranks* ranks,
                                                  const std::function<bool()>& go_on) {
  std::vector<supervise::HostNumerics> hosts;
  if (ranks != nullptr) hosts = ranks->hosts(Ranks::kSilentSeconds, go_on);
  hosts.insert(hosts.begin(), supervise::host_numerics());
  return hosts;
}

// A run in the process that coordinates it.
class Run {
 public:
  Run(const RunRequest& request, const RunHooks& hooks, StopSignals& signals,
      schedule::Transport* transport, Ranks* ranks)
      : request_(request),
        hooks_(hooks),
        signals_(signals),
        transport_(transport),
        ranks_(ranks),
        progress_(make_run_progress(::isatty(STDERR_FILENO) != 0, request.quiet)) {}

  int go() {
    std::optional<StopSignal> signal;
    hosts_ = hosts_of_run(ranks_, [&] { return !(signal = signals_.next()); });
    if (!signal) {
      signal = listen_during(
          signals_, ranks_, [this](const std::atomic<bool>& stopped) { prepare(stopped); },
          [this](const StopSignal& s) { leave_early(s); });
    }
    if (signal) {
      say_stopped(*signal);
      if (ranks_ != nullptr) all_alive_ = ranks_->dismiss(kDismissSeconds);
      return kStopped;
    }
    supervise::Supervisor supervisor(*store_, supervisor_options());
    LocalSupervisor handle(supervisor);
    const std::vector<std::string> busy_providers =
        providers_with_work(loaded_.plan, inventory_, 2 * slots_.options.size());
    Conductor conductor(loaded_.plan, folder_->id(), std::move(options_), std::move(inventory_),
                        RunOutlets{*store_, *sink_, *progress_});
    if (partial()) conductor.keep_temporary();  // the trials left out may want them
    conductor.keep_samples_in(folder_->path());
    std::string nonce;
    if (ranks_ != nullptr) {
      nonce = store_->write_nonce();
      ranks_->welcome(welcome(nonce), conductor);
    }
    for (const std::string& provider : busy_providers) supervisor.warm(provider);
    LocalDriver driver(conductor, supervisor, handle, ranks_, *folder_, *progress_);
    driver.run(slots_.offer, signals_, [this] { register_root(kLeaseSeconds); });
    // First the records: a launcher that ends the job does not wait for the rest.
    const RunStatus status = record_end(conductor, driver);
    if (ranks_ != nullptr) {
      all_alive_ = ranks_->dismiss(kDismissSeconds);
      store_->remove_nonce(nonce);
    }
    supervisor.close(0);
    progress_->close();
    show_end(status, *conductor.finish());
    return status.exit_code;
  }

  bool all_alive() const { return all_alive_; }

 private:
  bool partial() const { return !request_.sweep.only.empty(); }

  void register_root(double lease_s) {
    store_->register_root(root_of(loaded_.plan, *folder_, *store_, partial(), lease_s));
  }

  // Everything before the first stage. In a thread of its own; ends early once `stopped`.
  void prepare(const std::atomic<bool>& stopped) {
    loaded_ = load_and_plan(request_.sweep, hosts_);
    check_hosts(loaded_.sweep.run, hosts_);
    if (stopped) return;
    slots_ = slots_of_this_node(slot_request());
    folder_.emplace(
        request_.out.empty() ? std::filesystem::path("runs") / loaded_.sweep.name : request_.out,
        loaded_.sweep.name);
    write_file_atomically(folder_->path() / "sweep.yaml", spec::resolved_text(loaded_.sweep));
    for (const std::string& note : loaded_.notes) log_info("{}", note);
    store_.emplace();
    for (const auto& [name, text] : loaded_.plan.manifests) store_->keep_manifest(name, text);
    register_root(kLeaseSeconds);
    const auto alive = [&] { folder_->lock().beat(); };
    const auto go_on = [&] {
      alive();
      return !stopped;
    };
    with_patience(
        [&] {
          sink_ = open_database(*folder_, hooks_);
          history_ = sink_->history();
        },
        go_on);
    inventory_ = take_inventory(loaded_.plan, history_, *store_,
                                {folder_->id(), request_.retry_failed, request_.force, alive});
    if (stopped) return;
    options_ = coordinator_options(loaded_, history_, ranks_ == nullptr);
    with_patience([&] { sink_->begin(loaded_.plan, run_start(request_, loaded_)); }, go_on);
  }

  void say_stopped(const StopSignal& signal) const {
    say("stopped before anything ran: {}; the same command starts it\n",
        ::strsignal(signal.number));
  }

  // The thread that prepares cannot be waited for.
  void leave_early(const StopSignal& signal) {
    say_stopped(signal);
    if (ranks_ == nullptr) return;
    const double patience_s = signal.from_launcher ? launcher_grace_s() / 2 : kDismissSeconds;
    if (ranks_->dismiss(patience_s)) transport_->finish(true);
  }

  RunStatus record_end(const Conductor& conductor, LocalDriver& driver) {
    RunStatus status = conductor.status();
    status.exit_code = exit_code_of(conductor.finish()->outcome);
    status.state = state_of(status.exit_code);
    status.eta_s = -1;
    const double until = supervise::monotonic_seconds() + kEndPatienceSeconds;
    try {
      with_patience([&] { sink_->end(supervise::unix_seconds(), status.exit_code); },
                    [&] { return supervise::monotonic_seconds() < until; });
    } catch (const Error& e) {
      if (!is_held_elsewhere(e)) throw;
      log_warning("{}: it does not say when this run ended", e.what());
    }
    sink_.reset();
    register_root(0);
    driver.write_status(status);
    return status;
  }

  void show_end(const RunStatus& status, const schedule::Finish& finish) {
    if (!request_.quiet || status.exit_code != kDone)
      say_summary(status, finish, folder_->path(), !request_.force.empty());
    try {
      if (hooks_.after) hooks_.after(folder_->path());
    } catch (const Error& e) {
      // What was computed and recorded does not depend on who can be shown a board.
      log_warning("{}", e.what());
    }
  }

  SlotRequest slot_request() const {
    SlotRequest wanted;
    const spec::RunSettings& settings = loaded_.sweep.run;
    wanted.jobs = request_.jobs > 0 ? request_.jobs : settings.slots.value_or(0);
    wanted.threads = settings.threads;
    wanted.device = settings.device;
    wanted.cpu_level = settings.cpu_level;
    wanted.mkl_intel = settings.mkl_intel;
    if (transport_ != nullptr) {
      wanted.local_rank = transport_->local_rank();
      wanted.local_size = transport_->local_size();
      wanted.core_sharers = transport_->core_sharers();
    }
    return wanted;
  }

  Json environment() const {
    return {
        {"assay", kBuildInfo.version}, {"commit", kBuildInfo.commit}, {"dirty", kBuildInfo.dirty}};
  }

  supervise::SupervisorOptions supervisor_options() const {
    const spec::RunSettings& settings = loaded_.sweep.run;
    supervise::SupervisorOptions options;
    options.slots = slots_.options;
    options.providers = loaded_.providers.commands();
    options.provider_files = loaded_.providers.files();
    options.logs = folder_->logs();
    options.run = folder_->id();
    options.environment = environment();
    options.stall_timeout_s = settings.stall_timeout_s.value_or(0);
    options.stage_timeout_s = settings.stage_timeout_s.value_or(0);
    return options;
  }

  Welcome welcome(const std::string& nonce) const {
    const supervise::SupervisorOptions mine = supervisor_options();
    Welcome welcome;
    welcome.store = std::filesystem::absolute(store_->root());
    welcome.nonce = nonce;
    welcome.logs = mine.logs;
    welcome.run = mine.run;
    welcome.providers = mine.providers;
    welcome.provider_files = supervise::json_of(mine.provider_files);
    welcome.environment = mine.environment;
    welcome.stall_timeout_s = mine.stall_timeout_s;
    welcome.stage_timeout_s = mine.stage_timeout_s;
    const SlotRequest wanted = slot_request();
    welcome.jobs = wanted.jobs;
    welcome.threads = wanted.threads;
    welcome.device = wanted.device;
    welcome.cpu_level = wanted.cpu_level;
    welcome.mkl_intel = wanted.mkl_intel;
    return welcome;
  }

  const RunRequest& request_;
  const RunHooks& hooks_;
  StopSignals& signals_;
  schedule::Transport* transport_;
  Ranks* ranks_;
  std::unique_ptr<RunProgress> progress_;
  bool all_alive_ = true;
  std::vector<supervise::HostNumerics> hosts_;  // before the plan, which depends on them
  // Made by prepare().
  LoadedSweep loaded_;
  Slots slots_;
  std::optional<RunFolder> folder_;  // holds the lock: outlives what is written under it
  std::optional<supervise::Store> store_;
  std::unique_ptr<record::RunSink> sink_;
  record::History history_;
  Inventory inventory_;
  schedule::Options options_;
};

int run_as_rank_0(const RunRequest& request, const RunHooks& hooks, StopSignals& signals,
                  schedule::Transport& transport) {
  Ranks ranks(transport);
  try {
    int code = kDone;
    bool all_alive = true;
    {
      Run run(request, hooks, signals, &transport, &ranks);
      code = run.go();
      all_alive = run.all_alive();
    }
    transport.finish(all_alive);
    if (!all_alive) ::_exit(code);  // the library's own exit would wait for the dead
    return code;
  } catch (...) {
    transport.finish(ranks.dismiss(kDismissSeconds));
    throw;
  }
}

// Output that nobody reads, and files that may not grow, are errors of a write, not the end of
// hours of work. Executors get the defaults back.
void ignore_signals_of_writes() {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
}

}  // namespace

int exit_code_of(const Error& error) {
  switch (error.kind()) {
    case ErrorKind::kIo:
    case ErrorKind::kOom:
    case ErrorKind::kLost:
    case ErrorKind::kEnvironment:
      return kNoEnvironment;
    default:
      return kRefused;
  }
}

int run_sweep(const RunRequest& request, const RunHooks& hooks) {
  ignore_signals_of_writes();
  StopSignals signals;  // before any thread: those of MPI would take signals that they do not block
  const auto transport = join_job();
  if (transport == nullptr) return Run(request, hooks, signals, nullptr, nullptr).go();
  const Json mine = supervise::to_json(supervise::this_process());
  const Json rank_0 = parse_json(transport->from_rank_0(mine.dump()), "identity of rank 0");
  if (transport->rank() == 0) return run_as_rank_0(request, hooks, signals, *transport);
  const int code = run_rank(
      *transport, supervise::process_identity_from(rank_0).value_or(supervise::ProcessIdentity{}),
      signals);
  transport->finish(true);
  return code;
}

}  // namespace assay::run
