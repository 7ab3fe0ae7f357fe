#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>

#include "harness/app/cli.h"
#include "harness/app/folders.h"
#include "harness/app/run_progress.h"
#include "harness/app/run_status.h"
#include "harness/core/atomic_file.h"
#include "harness/core/error.h"
#include "harness/supervise/host.h"
#include "results/board/show.h"

namespace assay::app {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxSlotsShown = 40;
constexpr std::size_t kWidth = 120;
constexpr std::size_t kMaxStatusBytes = std::size_t{16} << 20;
constexpr std::size_t kMaxLogBytes = std::size_t{256} << 20;

RunStatus read_status(const fs::path& run) {
  const fs::path file = run / "status.json";
  std::error_code ignored;
  if (!fs::exists(file, ignored)) {
    throw Error(ErrorKind::kConfig,
                fmt::format("{}: no status.json; this run has not started yet", run.string()));
  }
  return run_status_from(parse_json(read_file(file, kMaxStatusBytes), file.string()));
}

bool is_live(const RunStatus& status) {
  return status.state == "running" || status.state == "stopping";
}

bool is_gone(const RunStatus& status) {
  return is_live(status) && status.host == supervise::host_name() &&
         supervise::process_start(static_cast<pid_t>(status.pid)) == 0;
}

std::string status_text(const RunStatus& status) {
  std::string text = status_block(status, supervise::unix_seconds(), kMaxSlotsShown, kWidth);
  if (!text.empty() && text.back() != '\n') text += "\n";
  for (const RunStatus::Failure& failure : status.failures) {
    text += fmt::format("failed: {} ({}): {}{}\n", failure.stage, failure.kind, failure.message,
                        failure.log.empty() ? "" : "; log " + failure.log);
  }
  if (is_gone(status)) {
    text += fmt::format(
        "process {} is gone although the run says '{}': it was killed; the same `assay run` goes "
        "on\n",
        status.pid, status.state);
  } else {
    text += "state: " + status.state + "\n";
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
    const RunStatus status = read_status(run);
    const std::string text = status_text(status);
    if (terminal && !before.empty()) {
      put(fmt::format("\x1b[{}A\x1b[J", std::count(before.begin(), before.end(), '\n')));
    }
    if (terminal || text != before) put(text);
    before = text;
    if (!is_live(status) || is_gone(status)) return;
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
}

void add_status(Cli& cli) {
  CLI::App* command = add_command(cli, "status", "Live or last state of a run",
                                  "  assay status\n  assay status runs/demo --watch\n"
                                  "  assay status --json | jq .stages_done");
  auto run = std::make_shared<std::string>();
  auto watching = std::make_shared<bool>(false);
  auto json = std::make_shared<bool>(false);
  command->add_option("run", *run, "Run folder (default: the newest)")->option_text("RUN");
  command->add_flag("-w,--watch", *watching, "Until the run ends");
  command->add_flag("--json", *json, "As programs read it");
  command->callback([&cli, run, watching, json] {
    cli.action = [run, watching, json] {
      const fs::path folder = find_run(*run);
      if (*json) {
        put(to_json(read_status(folder)).dump(2) + "\n");
      } else if (*watching) {
        watch(folder);
      } else {
        put(status_text(read_status(folder)));
      }
      return 0;
    };
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
    const RunStatus status = read_status(run);
    for (const auto& [label, file] : logs_of(run, trial)) {
      const std::string text = read_file(file, kMaxLogBytes);
      std::size_t& from = shown[file];
      if (text.size() > from) put(fmt::format("==> {} ({})\n", label, file.string()));
      put(text.substr(std::min(from, text.size())));
      from = text.size();
    }
    if (!is_live(status) || is_gone(status)) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }
}

void add_logs(Cli& cli) {
  CLI::App* command = add_command(cli, "logs", "What the stages of a trial printed",
                                  "  assay logs 3f2a\n  assay logs 3f2a -f --run runs/demo");
  auto trial = std::make_shared<std::string>();
  auto run = std::make_shared<std::string>();
  auto following = std::make_shared<bool>(false);
  command->add_option("trial", *trial, "Its id, first digits of it, or its label")
      ->required()
      ->option_text("TRIAL");
  command->add_option("--run", *run, "Run folder (default: the newest)")->option_text("RUN");
  command->add_flag("-f,--follow", *following, "Until the run ends");
  command->callback([&cli, trial, run, following] {
    cli.action = [trial, run, following] {
      const fs::path folder = find_run(*run);
      if (*following) {
        follow(folder, *trial);
        return 0;
      }
      const auto logs = logs_of(folder, *trial);
      if (logs.empty()) fmt::print(stderr, "assay: none of its stages left a log\n");
      for (const auto& [label, file] : logs) {
        put(fmt::format("==> {} ({})\n", label, file.string()));
        put(read_file(file, kMaxLogBytes));
      }
      return 0;
    };
  });
}

// Sends SIGTERM to the process that holds run.lock.
void cancel(const fs::path& run) {
  const fs::path file = run / "run.lock";
  std::error_code ignored;
  if (!fs::exists(file, ignored)) {
    throw Error(ErrorKind::kConfig, fmt::format("{}: nothing runs here", run.string()));
  }
  const Json lock = parse_json(read_file(file, 65536), file.string());
  const auto member = [&](const char* name) {
    return lock.is_object() ? lock.value(name, Json()) : Json();
  };
  if (!member("host").is_string() || !member("pid").is_number_integer()) {
    throw Error(ErrorKind::kData,
                fmt::format("{}: it lacks the text 'host' or the integer 'pid'; if no run lives "
                            "here, remove it",
                            file.string()),
                {{"file", file.string()}});
  }
  const auto host = member("host").get<std::string>();
  const auto pid = member("pid").get<std::int64_t>();
  if (pid <= 1 || pid > std::numeric_limits<pid_t>::max()) {
    throw Error(ErrorKind::kData, fmt::format("{}: pid {} is no process", file.string(), pid));
  }
  if (host != supervise::host_name()) {
    throw Error(ErrorKind::kConfig,
                fmt::format("the run is on host {}; type there: kill -TERM {}", host, pid));
  }
  const auto started = lock.find("started");
  const auto now = supervise::process_start(static_cast<pid_t>(pid));
  const bool other =
      started != lock.end() && started->is_number_integer() && started->get<std::uint64_t>() != now;
  if (now == 0 || other) {
    throw Error(ErrorKind::kConfig,
                fmt::format("{}: process {} is gone; the run does not run", run.string(), pid));
  }
  if (kill(static_cast<pid_t>(pid), SIGTERM) != 0) {
    throw Error(ErrorKind::kEnvironment,
                fmt::format("process {} cannot be stopped: {}", pid, std::strerror(errno)));
  }
  fmt::print(stderr,
             "asked process {} to stop; stages write checkpoints, the same `assay run` goes "
             "on later\n",
             pid);
}

void add_cancel(Cli& cli) {
  CLI::App* command = add_command(cli, "cancel", "Stop a run; it can be resumed",
                                  "  assay cancel\n  assay cancel runs/demo");
  auto run = std::make_shared<std::string>();
  command->add_option("run", *run, "Run folder (default: the newest)")->option_text("RUN");
  command->callback([&cli, run] {
    cli.action = [run] {
      cancel(find_run(*run));
      return 0;
    };
  });
}

}  // namespace

void add_watch_commands(Cli& cli) {
  add_status(cli);
  add_logs(cli);
  add_cancel(cli);
}

}  // namespace assay::app
