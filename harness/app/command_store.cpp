#include <fmt/format.h>
#include <unistd.h>

#include <map>

#include "harness/app/cli.h"
#include "harness/app/folders.h"
#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/base/log.h"
#include "harness/base/say.h"
#include "harness/spec/run_settings.h"
#include "harness/supervise/host.h"
#include "harness/supervise/store.h"
#include "results/board/show.h"

namespace assay::app {
namespace {

namespace fs = std::filesystem;
using results::count_cell;
using results::text_cell;

struct Kind {
  std::int64_t artifacts = 0;
  std::int64_t bytes = 0;
};

results::Table store_table(supervise::Store& store) {
  std::map<std::string, Kind> kinds;
  store.for_each([&](const std::string& key, const fs::path&, std::int64_t size) {
    const auto artifact = store.lookup(key);
    if (!artifact) return;
    Kind& kind = kinds[artifact->result.value("stage", std::string("(unknown)"))];
    ++kind.artifacts;
    kind.bytes += size;
  });
  const supervise::StoreUsage usage = store.usage();
  results::Table table{.title = store.root().string(),
                       .columns = {{"stage"}, {"artifacts", true}, {"bytes", true}}};
  for (const auto& [name, kind] : kinds) {
    table.rows.push_back({text_cell(name), count_cell(kind.artifacts), count_cell(kind.bytes)});
  }
  table.notes.push_back(fmt::format(
      "{} artifacts, {} bytes; checkpoints {}, temporary {}, damaged {}", usage.objects,
      usage.object_bytes, usage.partial_bytes, usage.temporary_bytes, usage.damaged_bytes));
  return table;
}

// A run folder that was deleted wants nothing; one that was moved, or whose disk is not mounted,
// looks the same.
void warn_of_gone_folders(const supervise::Store& store) {
  for (const supervise::Root& root : store.roots()) {
    std::error_code code;
    if (fs::exists(root.folder, code) || root.lease_until_unix_s > supervise::unix_seconds())
      continue;
    log_warning(
        "{} is not there any more: what only it needs counts as not needed. If it was moved, run "
        "its sweep at the new place first (assay run --out)",
        root.folder.string());
  }
}

void add_store(Cli& cli) {
  Command store(cli, "store", "The store of artifacts, shared by all runs",
                "  assay store ls\n"
                "  assay store gc --dry-run      # what would go\n"
                "  assay store gc --min-age 7d");
  Command ls(store, "ls", "Artifacts and bytes by stage");
  ls.format();
  ls.runs([&cli] {
    supervise::Store opened;
    cli.print({store_table(opened)});
    return 0;
  });
  Command gc(store, "gc", "Drop what no run folder needs any more");
  struct Options {
    std::string age = "1h";
    bool dry = false;
  };
  const auto options = std::make_shared<Options>();
  gc.flag("-n,--dry-run", options->dry, "Only count");
  gc.option("--min-age", options->age, "Keep what is younger", "TIME (1h)");
  gc.runs([options] {
    const auto seconds = spec::seconds_from(options->age);
    if (!seconds) {
      throw Error(ErrorKind::kConfig,
                  fmt::format("--min-age '{}': a time has a unit, as in 90s, 10m, 1h30m or 7d",
                              options->age));
    }
    supervise::Store opened;
    warn_of_gone_folders(opened);
    const auto gone = opened.gc(*seconds, options->dry);
    say("{}{} artifacts, {} bytes\n", options->dry ? "would drop " : "dropped ", gone.objects,
        gone.bytes);
    return 0;
  });
}

fs::path network_of(const std::string& run, const std::string& name) {
  results::Reader reader(database_of(find_run(run)));
  const results::TrialSummary trial = results::find_trial(reader, name);
  if (!trial.network_stage) {
    throw Error(
        ErrorKind::kConfig,
        fmt::format("{}: its network is the model as it is; copy that checkpoint", trial.label));
  }
  supervise::Store store;
  const auto artifact = store.verified(*trial.network_stage);
  if (!artifact) {
    throw Error(
        ErrorKind::kConfig,
        fmt::format("{}: its network is not whole in the store {}; `assay run SWEEP` makes what "
                    "is missing",
                    trial.label, store.root().string()));
  }
  for (const char* file : {"model.safetensors", "config.json"}) {
    if (!fs::exists(artifact->path / file)) {
      throw Error(ErrorKind::kUnsupported,
                  fmt::format("{}: its artifact holds no {} (a quantized network keeps codes and "
                              "scales); saving those in the format 'hf' is not supported yet",
                              trial.label, file));
    }
  }
  return artifact->path;
}

// Copies the files beside the target, then renames, so that no half-written checkpoint is seen.
void copy_checkpoint(const fs::path& from, const fs::path& to) {
  if (fs::exists(to)) {
    throw Error(ErrorKind::kConfig, fmt::format("{} exists; name a new folder", to.string()));
  }
  const fs::path parent = to.has_parent_path() ? to.parent_path() : ".";
  const fs::path part = parent / fmt::format(".{}.{}", to.filename().string(), getpid());
  std::error_code error;
  fs::create_directories(part, error);
  for (fs::directory_iterator it(from, error), end; !error && it != end; it.increment(error)) {
    if (it->path().filename() == "result.json") continue;
    const fs::path copy = part / it->path().filename();
    fs::copy_file(it->path(), copy, error);
    // What is published is read-only; a copy is the user's.
    if (!error) fs::permissions(copy, fs::perms::owner_write, fs::perm_options::add, error);
    if (error) break;
  }
  if (!error) fs::rename(part, to, error);
  if (error) {
    std::error_code ignored;
    fs::remove_all(part, ignored);
    throw Error(ErrorKind::kIo,
                fmt::format("{}: cannot be written: {}", to.string(), error.message()));
  }
}

void add_save(Cli& cli) {
  Command command(cli, "save", "Write a trial's network as a checkpoint folder",
                  "  assay save 3f2a -o checkpoints/vit_trained --as hf");
  struct Options {
    std::string trial, run, out, as = "hf";
  };
  const auto options = std::make_shared<Options>();
  command.argument("trial", options->trial, "Its id, first digits of it, or its label", "TRIAL")
      .required();
  command.option("-o,--output", options->out, "Folder to make", "DIR").required();
  command.choice("--as", options->as, "model.safetensors with config.json", {"hf"});
  command.option("--run", options->run, "Run folder (default: the newest)", "RUN");
  command.runs([options] {
    copy_checkpoint(network_of(options->run, options->trial),
                    fs::path(options->out).lexically_normal());
    say("wrote {}\n", options->out);
    return 0;
  });
}

}  // namespace

void store_commands(Cli& cli) {
  add_store(cli);
  add_save(cli);
}

}  // namespace assay::app
