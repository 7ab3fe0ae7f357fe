#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <thread>

#include "harness/app/cli.h"
#include "harness/app/folders.h"
#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/base/say.h"
#include "harness/run/cancel_request.h"
#include "harness/run/progress.h"
#include "harness/run/run_status.h"
#include "harness/run/summary.h"
#include "harness/supervise/host.h"
#include "harness/supervise/process_identity.h"
#include "results/board/show.h"

namespace assay::app {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxSlotsShown = 40;
constexpr std::size_t kWidth = 120;
constexpr std::size_t kMaxStatusBytes = std::size_t{16} << 20;
constexpr std::size_t kMaxLockBytes = 65536;
constexpr std::size_t kMaxLogBytes = std::size_t{256} << 20;

run::RunStatus read_status(const fs::path& run) {
  const fs::path file = run / "status.json";
  std::error_code ignored;
  if (!fs::exists(file, ignored)) {
    throw Error(ErrorKind::kConfig,
                fmt::format("{}: no status.json; this run has not started yet", run.string()));
  }
  Json json;
  try {
    json = parse_json(read_file(file, kMaxStatusBytes), file.string());
  } catch (const Error& e) {
    throw Error(e.kind(), fmt::format("{}; the next `assay run` replaces it", e.what()),
                e.context());
  }
  return run::run_status_from(json);
}

bool goes_on(const run::RunStatus& status) {
  return run::liveness_of(status, supervise::unix_seconds()) == run::RunLiveness::kLive;
}

std::string status_text(const run::RunStatus& status, const fs::path& run) {
  const double now = supervise::unix_seconds();
  const run::RunLiveness liveness = run::liveness_of(status, now);
  // The clock of a run that has ended, however it did, stands still.
  const double clock = liveness == run::RunLiveness::kLive ? now : status.updated_unix_s;
  std::string text = run::status_block(status, clock, kMaxSlotsShown, kWidth);
  if (!text.empty() && text.back() != '\n') text += "\n";
  for (const run::RunStatus::Failure& failure : status.failures) {
    text += run::failure_line(failure, run) + "\n";
  }
  if (liveness == run::RunLiveness::kGone) {
    text += fmt::format(
        "process {} is gone although the run says '{}': it was killed; the same `assay run` goes "
        "on\n",
        status.pid, harmless(status.state));
  } else if (liveness == run::RunLiveness::kSilent) {
    text += fmt::format(
        "process {} on {} has given no sign of life for {}: it was probably killed; the same "
        "`assay run` goes on\n",
        status.pid, harmless(status.host), run::duration_text(now - status.updated_unix_s));
  } else {
    text += "state: " + harmless(status.state) + "\n";
  }
  return text;
}

void put(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void watch(const fs::path& run) {
  const bool terminal = isatty(STDOUT_FILENO) == 1;
  std::string before;
  while (true) {
    const run::RunStatus status = read_status(run);
    const std::string text = status_text(status, run);
    if (terminal && !before.empty()) {
      put(fmt::format("\x1b[{}A\x1b[J", std::count(before.begin(), before.end(), '\n')));
    }
    if (terminal || text != before) put(text);
    before = text;
    if (!goes_on(status)) return;
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
}

void add_status(Cli& cli) {
  Command command(cli, "status", "Live or last state of a run",
                  "  assay status\n  assay status runs/demo --watch\n"
                  "  assay status --json | jq .stages_done");
  struct Options {
    std::string run;
    bool watching = false;
    bool json = false;
  };
  const auto options = std::make_shared<Options>();
  command.argument("run", options->run, "Run folder (default: the newest)", "RUN");
  command.flag("-w,--watch", options->watching, "Until the run ends");
  command.flag("--json", options->json, "As programs read it");
  command.runs([options] {
    const fs::path folder = find_run(options->run);
    if (options->json) {
      put(to_json(read_status(folder)).dump(2) + "\n");
    } else if (options->watching) {
      watch(folder);
    } else {
      put(status_text(read_status(folder), folder));
    }
    return 0;
  });
}

// The newest log of each stage of a trial, in the order of its stages.
std::vector<std::pair<std::string, fs::path>> logs_of(const fs::path& run,
                                                      const std::string& trial) {
  results::Reader reader(database_of(run));
  const results::TrialSummary found = results::find_trial(reader, trial);
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator it(run / "logs", error), end; !error && it != end;
       it.increment(error)) {
    files.push_back(it->path());
  }
  std::vector<std::pair<std::string, fs::path>> logs;
  for (const auto& stage : reader.stages_of(found.id)) {
    const fs::path* newest = nullptr;
    for (const fs::path& file : files) {
      if (!file.filename().string().starts_with(stage.key)) continue;
      const auto length = [](const fs::path& f) { return f.filename().string().size(); };
      // <key>.9.log comes before <key>.10.log
      if (newest == nullptr ||
          std::pair(length(file), file) > std::pair(length(*newest), *newest)) {
        newest = &file;
      }
    }
    if (newest != nullptr) logs.emplace_back(stage.label, *newest);
  }
  return logs;
}

void follow(const fs::path& run, const std::string& trial) {
  std::map<fs::path, std::size_t> shown;
  while (true) {
    const run::RunStatus status = read_status(run);
    for (const auto& [label, file] : logs_of(run, trial)) {
      const std::string text = read_file(file, kMaxLogBytes);
      std::size_t& from = shown[file];
      if (text.size() > from) put(fmt::format("==> {} ({})\n", label, file.string()));
      put(text.substr(std::min(from, text.size())));
      from = text.size();
    }
    if (!goes_on(status)) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }
}

void add_logs(Cli& cli) {
  Command command(cli, "logs", "What the stages of a trial printed",
                  "  assay logs 3f2a\n  assay logs 3f2a -f --run runs/demo");
  struct Options {
    std::string trial, run;
    bool following = false;
  };
  const auto options = std::make_shared<Options>();
  command.argument("trial", options->trial, "Its id, first digits of it, or its label", "TRIAL")
      .required();
  command.option("--run", options->run, "Run folder (default: the newest)", "RUN");
  command.flag("-f,--follow", options->following, "Until the run ends");
  command.runs([options] {
    const fs::path folder = find_run(options->run);
    if (options->following) {
      follow(folder, options->trial);
      return 0;
    }
    const auto logs = logs_of(folder, options->trial);
    if (logs.empty()) say("assay: none of its stages left a log\n");
    for (const auto& [label, file] : logs) {
      put(fmt::format("==> {} ({})\n", label, file.string()));
      put(read_file(file, kMaxLogBytes));
    }
    return 0;
  });
}

struct Holder {
  supervise::ProcessIdentity process;
  std::string token;
};

Holder holder_of(const fs::path& run) {
  const fs::path file = run / "run.lock";
  std::error_code ignored;
  if (!fs::exists(file, ignored)) {
    throw Error(ErrorKind::kConfig, fmt::format("{}: nothing runs here", run.string()));
  }
  const Json lock = parse_json(read_file(file, kMaxLockBytes), file.string());
  const auto process = supervise::process_identity_from(lock);
  const Json token = lock.is_object() ? lock.value("token", Json()) : Json();
  // Anything less might be another process.
  if (!process || process->pid <= 1 || process->started == 0 || !token.is_string()) {
    throw Error(ErrorKind::kData,
                fmt::format("{}: it does not say which process runs here (host, boot_id, pid, "
                            "started, token); if no run lives here, remove it",
                            file.string()),
                {{"file", file.string()}});
  }
  return {*process, token.get<std::string>()};
}

// Asks the process that holds run.lock to stop: by a signal where it can be seen, else by a file.
void cancel(const fs::path& run) {
  const auto [process, token] = holder_of(run);
  const bool elsewhere = supervise::liveness_of(process) == supervise::Liveness::kElsewhere;
  if (elsewhere) {
    run::request_cancel(run, token);
  } else if (!supervise::send_signal(process, SIGTERM)) {
    throw Error(ErrorKind::kConfig,
                fmt::format("{}: process {} is gone; this run is no longer running", run.string(),
                            process.pid));
  }
  say("asked process {} on {} to stop{}; stages write checkpoints, the same `assay run` goes on "
      "later\n",
      process.pid, harmless(process.host),
      elsewhere ? " (by a file in the run folder, which it looks for once a second)" : "");
}

void add_cancel(Cli& cli) {
  Command command(cli, "cancel", "Stop a run; it can be resumed",
                  "  assay cancel\n  assay cancel runs/demo");
  const auto run = std::make_shared<std::string>();
  command.argument("run", *run, "Run folder (default: the newest)", "RUN");
  command.runs([run] {
    cancel(find_run(*run));
    return 0;
  });
}

}  // namespace

void watch_commands(Cli& cli) {
  add_status(cli);
  add_logs(cli);
  add_cancel(cli);
}

}  // namespace assay::app
