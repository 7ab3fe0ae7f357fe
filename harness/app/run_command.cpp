#include "harness/app/run_command.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "harness/app/build_info.h"
#include "harness/app/local_driver.h"
#include "harness/app/run_folder.h"
#include "harness/app/run_inventory.h"
#include "harness/app/run_launch.h"
#include "harness/app/run_numerics.h"
#include "harness/app/run_slots.h"
#include "harness/app/run_worker.h"
#include "harness/core/atomic_file.h"
#include "harness/supervise/host.h"

namespace assay::app {
namespace {

constexpr double kLeaseSeconds = 3600;
constexpr double kDismissSeconds = 10;

// Seconds from now to the end that the sweep or the batch job sets; -1: none.
double time_limit_s(const spec::RunSettings& settings) {
  if (settings.time_limit_s) return *settings.time_limit_s;
  const char* end = std::getenv("SLURM_JOB_END_TIME");
  if (end == nullptr) return -1;
  double unix_s = 0;
  const auto [rest, code] = std::from_chars(end, end + std::strlen(end), unix_s);
  return code == std::errc{} ? std::max(0.0, unix_s - supervise::unix_seconds()) : -1;
}

schedule::Options coordinator_options(const LoadedSweep& loaded, const plan::History& history,
                                      bool alone) {
  const spec::RunSettings& settings = loaded.sweep.run;
  schedule::Options options;
  options.retries = settings.retries;
  options.stage_wall_s = history.stage_wall_s;
  options.patience_s = alone ? 2 : 60;
  if (const double limit = time_limit_s(settings); limit >= 0) {
    options.time_limit_at_s = supervise::monotonic_seconds() + limit;
    options.stop_grace_s = std::min(30.0, limit / 10);
  }
  const auto& failures = settings.max_failures;
  if (failures.count) {
    options.max_causes = *failures.count;
  } else if (failures.fraction) {
    const double share = *failures.fraction * static_cast<double>(loaded.plan.trials.size());
    options.max_causes = std::max<std::int64_t>(1, static_cast<std::int64_t>(std::floor(share)));
  }
  return options;
}

// Whether SQLite itself says so (SQLITE_CORRUPT, SQLITE_NOTADB). A busy, foreign or newer database
// is left where it is.
bool is_damaged(const Error& error) {
  for (const auto& [name, value] : error.context()) {
    int code = 0;
    if (name != "sqlite") continue;
    std::from_chars(value.data(), value.data() + value.size(), code);
    return (code & 0xff) == 11 || (code & 0xff) == 26;
  }
  return false;
}

std::unique_ptr<plan::RunSink> open_database(const RunFolder& folder, const RunHooks& hooks) {
  try {
    return hooks.open_sink(folder.database());
  } catch (const Error& e) {
    if (!is_damaged(e)) throw;
    const auto aside = folder.move_database_aside();
    spdlog::warn("{}", e.what());
    spdlog::warn("moved it to {}; a new one is made from the results in the store", aside.string());
    return hooks.open_sink(folder.database());
  }
}

supervise::Root root_of(const plan::Plan& plan, const RunFolder& folder,
                        const supervise::Store& store, bool partial, double lease_s) {
  supervise::Root root;
  root.run = folder.id();
  root.folder = folder.path();
  for (const plan::Stage& stage : plan.stages) root.keys.insert(stage.key);
  // A run of some of the trials (--only) does not give up what the others made.
  for (const supervise::Root& mine : store.roots()) {
    if (partial && mine.run == root.run) root.keys.insert(mine.keys.begin(), mine.keys.end());
  }
  root.lease_until_unix_s = supervise::unix_seconds() + lease_s;
  return root;
}

plan::RunStart run_start(const RunRequest& request, const LoadedSweep& loaded) {
  plan::RunStart start;
  start.unix_s = supervise::unix_seconds();
  start.assay_version = kBuildInfo.version;
  start.commit = kBuildInfo.commit;
  start.dirty = kBuildInfo.dirty;
  start.host = supervise::host_name();
  start.command_line = request.command_line;
  start.sweep_text = loaded.sweep.resolved;
  start.options = {{"retry_failed", request.retry_failed},
                   {"force", request.force},
                   {"share", request.sweep.share},
                   {"only", request.sweep.only},
                   {"numerics", loaded.numerics},
                   {"limit", request.sweep.limit ? Json(*request.sweep.limit) : Json(nullptr)}};
  return start;
}

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

void say_summary(const Conductor& conductor, const RunStatus& status, const RunFolder& folder) {
  const auto& finish = *conductor.finish();
  for (const auto& failure : status.failures) {
    fmt::print(stderr, "failed: {} ({}): {}{}\n", failure.stage, failure.kind, failure.message,
               failure.log.empty() ? "" : "; log " + (folder.path() / failure.log).string());
  }
  fmt::print(stderr, "{}: {} of {} trials done", status.run, status.trials_done,
             status.trials_total);
  if (status.trials_failed > 0) fmt::print(stderr, ", {} failed", status.trials_failed);
  fmt::print(stderr, "; {} stages run, {} found in the store", status.stages_done,
             status.stages_reused);
  if (status.stages_failed > 0) fmt::print(stderr, ", {} failed", status.stages_failed);
  if (status.stages_blocked > 0) fmt::print(stderr, ", {} blocked", status.stages_blocked);
  fmt::print(stderr, "; {}; {}\n", duration_text(status.updated_unix_s - status.started_unix_s),
             folder.path().string());
  if (!finish.message.empty()) fmt::print(stderr, "stopped: {}\n", finish.message);
  if (finish.outcome == schedule::Outcome::kStopped) {
    fmt::print(stderr, "the same command goes on from here\n");
  }
}

// This host and those of the other ranks.
std::vector<supervise::HostNumerics> hosts_of_run(Ranks* ranks) {
  std::vector<supervise::HostNumerics> hosts;
  if (ranks != nullptr) hosts = ranks->hosts(Ranks::kSilentSeconds);
  hosts.insert(hosts.begin(), supervise::host_numerics());
  return hosts;
}

LoadedSweep load_for_run(const SweepRequest& request,
                         const std::vector<supervise::HostNumerics>& hosts) {
  LoadedSweep loaded = load_and_plan(request, hosts);
  check_hosts(loaded.sweep.run, hosts);
  return loaded;
}

// A run in the process that coordinates it.
class Run {
 public:
  Run(const RunRequest& request, const RunHooks& hooks, schedule::Transport* transport,
      Ranks* ranks)
      : request_(request),
        hooks_(hooks),
        transport_(transport),
        ranks_(ranks),
        hosts_(hosts_of_run(ranks)),
        loaded_(load_for_run(request.sweep, hosts_)),
        slots_(slots_of_this_node(slot_request())),
        folder_(
            request.out.empty() ? std::filesystem::path("runs") / loaded_.sweep.name : request.out,
            loaded_.sweep.name),
        lock_(folder_.path()),
        progress_(make_run_progress(::isatty(STDERR_FILENO) != 0, request.quiet)) {}

  int go() {
    write_file_atomically(folder_.path() / "sweep.yaml", loaded_.sweep.resolved);
    for (const std::string& note : loaded_.notes) spdlog::info("{}", note);
    supervise::Store store;
    for (const auto& [name, text] : loaded_.plan.manifests) store.keep_manifest(name, text);
    const bool partial = !request_.sweep.only.empty();
    store.register_root(root_of(loaded_.plan, folder_, store, partial, kLeaseSeconds));
    auto sink = open_database(folder_, hooks_);
    const plan::History history = sink->history();
    Inventory inventory = take_inventory(loaded_.plan, history, store,
                                         {folder_.id(), request_.retry_failed, request_.force});
    sink->begin(loaded_.plan, run_start(request_, loaded_));

    const std::vector<std::string> busy_providers =
        providers_with_work(loaded_.plan, inventory, 2 * slots_.options.size());

    supervise::Supervisor supervisor(store, supervisor_options());
    LocalSite site(supervisor);
    Conductor conductor(loaded_.plan, folder_.id(),
                        coordinator_options(loaded_, history, ranks_ == nullptr),
                        std::move(inventory), store, *sink, *progress_);
    if (partial) conductor.keep_temporary();  // the trials left out may want them
    conductor.keep_samples_in(folder_.path());
    std::string nonce;
    if (ranks_ != nullptr) {
      nonce = store.write_nonce();
      ranks_->welcome(welcome(store, nonce), conductor);
    }
    for (const std::string& provider : busy_providers) supervisor.warm(provider);
    LocalDriver driver(conductor, supervisor, site, ranks_, lock_, *progress_,
                       folder_.status_file());
    driver.run(slots_.offer, signals_, [&] {
      store.register_root(root_of(loaded_.plan, folder_, store, partial, kLeaseSeconds));
    });
    if (ranks_ != nullptr) {
      all_alive_ = ranks_->dismiss(kDismissSeconds);
      store.remove_nonce(nonce);
    }
    supervisor.close(0);

    const int code = exit_code_of(conductor.finish()->outcome);
    sink->end(supervise::unix_seconds(), code);
    sink.reset();
    store.register_root(root_of(loaded_.plan, folder_, store, partial, 0));
    RunStatus status = conductor.status();
    status.state = state_of(code);
    status.exit_code = code;
    status.eta_s = -1;
    driver.write_status(status);
    progress_->close();
    if (!request_.quiet || code != kDone) say_summary(conductor, status, folder_);
    if (hooks_.after) hooks_.after(folder_.path());
    return code;
  }

  bool all_alive() const { return all_alive_; }

 private:
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
    options.logs = folder_.logs();
    options.run = folder_.id();
    options.environment = environment();
    options.stall_timeout_s = settings.stall_timeout_s.value_or(0);
    options.stage_timeout_s = settings.stage_timeout_s.value_or(0);
    return options;
  }

  Welcome welcome(const supervise::Store& store, const std::string& nonce) const {
    const supervise::SupervisorOptions mine = supervisor_options();
    Welcome welcome;
    welcome.store = std::filesystem::absolute(store.root());
    welcome.nonce = nonce;
    welcome.logs = mine.logs;
    welcome.run = mine.run;
    welcome.providers = mine.providers;
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
  schedule::Transport* transport_;
  Ranks* ranks_;
  StopSignals signals_;                         // before any thread and child
  std::vector<supervise::HostNumerics> hosts_;  // before the plan, which depends on them
  LoadedSweep loaded_;
  Slots slots_;
  RunFolder folder_;
  supervise::RunLock lock_;
  std::unique_ptr<RunProgress> progress_;
  bool all_alive_ = true;
};

int run_as_rank_0(const RunRequest& request, const RunHooks& hooks,
                  schedule::Transport& transport) {
  Ranks ranks(transport);
  try {
    int code = kDone;
    bool all_alive = true;
    {
      Run run(request, hooks, &transport, &ranks);
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

int run_command(const RunRequest& request, const RunHooks& hooks) {
  const auto transport = join_job();
  if (transport == nullptr) return Run(request, hooks, nullptr, nullptr).go();
  if (transport->size() == 1) {
    try {
      const int code = Run(request, hooks, nullptr, nullptr).go();
      transport->finish(true);
      return code;
    } catch (...) {
      transport->finish(true);  // else the launcher takes the refusal for a crash
      throw;
    }
  }
  if (transport->rank() == 0) return run_as_rank_0(request, hooks, *transport);
  const int code = run_worker(*transport);
  transport->finish(true);
  return code;
}

}  // namespace assay::app
