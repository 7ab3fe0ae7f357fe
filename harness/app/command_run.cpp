#include <unistd.h>

#include "harness/app/cli.h"
#include "harness/app/folders.h"
#include "harness/app/sweep_options.h"
#include "harness/run/run_sweep.h"
#include "results/board/board.h"
#include "results/store/sink.h"

namespace assay::app {

void add_sweep_options(Command& command, run::SweepRequest& request) {
  command.argument("sweep", request.file, "Sweep file (docs/formats/sweep.md)", "SWEEP").required();
  command.option("--set", request.overrides, "Override a value of the sweep; repeatable", "A.B=C");
  command.option("--only", request.only, "Only trials for which this holds", "EXPR").not_empty();
  command.number("--limit", request.limit,
                 "Smoke run: evaluate N samples, under a protocol of its own", "N", 1,
                 std::int64_t{1} << 40);
  command.flag(
      "--no-share", [&request] { request.share = false; }, "Give each trial stages of its own");
}

void run_commands(Cli& cli) {
  Command command(
      cli, "run", "Run a sweep, or go on with it: exactly the missing work",
      "  assay run sweeps/demo.yaml                   # all slots of this machine\n"
      "  assay run sweeps/demo.yaml --jobs 2 --out runs/tryout\n"
      "  assay run sweeps/demo.yaml --limit 64        # smoke run on 64 samples\n"
      "  assay run sweeps/demo.yaml --retry-failed    # failed and quarantined stages again\n"
      "  mpirun -n 4 assay run sweeps/demo.yaml       # the same over ranks");
  command.format();
  const auto request = std::make_shared<run::RunRequest>();
  const auto dry = std::make_shared<bool>(false);
  add_sweep_options(command, request->sweep);
  command.option("--out", request->out, "Run folder (default runs/<sweep name>)", "DIR");
  command.number("-j,--jobs", request->jobs, "Slots (default: as the sweep says)", "N", 1, 4096);
  command.flag("--retry-failed", request->retry_failed, "Run failed stages again");
  command.option("--force", request->force, "Run a stage again: its name or key; repeatable",
                 "STAGE");
  command.flag("--dry-run", *dry, "As `assay plan`");
  command.runs([&cli, request, dry] {
    if (*dry) return plan_sweep(cli, request->sweep, request->out);
    request->quiet = cli.common.quiet;
    request->command_line = cli.command_line;
    run::RunHooks hooks;
    hooks.open_sink = [](const std::filesystem::path& database) {
      return std::make_unique<results::DatabaseSink>(database);
    };
    hooks.after = [&cli](const std::filesystem::path& run) {
      if (cli.common.quiet) return;
      results::Reader reader(database_of(run));
      cli.print(results::board({results::load(reader, run.filename().string())}));
    };
    return run::run_sweep(*request, hooks);
  });
}

}  // namespace assay::app
