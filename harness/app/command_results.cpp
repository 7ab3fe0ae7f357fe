#include <fmt/format.h>

#include <set>

#include "harness/app/cli.h"
#include "harness/app/folders.h"
#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/supervise/store.h"
#include "results/board/board.h"
#include "results/board/export.h"
#include "results/board/show.h"

namespace assay::app {
namespace {

results::Reader open_run(const std::string& run) {
  return results::Reader(database_of(find_run(run)));
}

void write_text(const std::string& text, const std::string& file) {
  if (!file.empty()) return write_file_atomically(file, text);
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw Error(ErrorKind::kIo, "standard output cannot be written");
  }
}

void add_board(Cli& cli) {
  Command command(cli, "board", "Leaderboard of one run or several, grouped by protocol",
                  "  assay board                          # newest run\n"
                  "  assay board runs/demo runs/other --format md\n"
                  "  assay board --seeds                  # one row for each seed");
  struct Options {
    std::vector<std::string> runs;
    bool seeds = false;
  };
  const auto options = std::make_shared<Options>();
  command.format();
  command.arguments("run", options->runs, "Run folders, or names below runs/ (default: the newest)",
                    "RUN...");
  command.flag("--seeds", options->seeds, "Each seed by itself instead of mean and deviation");
  command.runs([&cli, options] {
    if (options->runs.empty()) options->runs.emplace_back();
    std::vector<results::RunResults> loaded;
    std::set<std::filesystem::path> known;
    for (const std::string& name : options->runs) {
      const auto run = find_run(name);
      if (!known.insert(std::filesystem::weakly_canonical(run)).second) continue;
      results::Reader reader(database_of(run));
      loaded.push_back(results::load(reader, run.lexically_normal().string()));
    }
    cli.print(results::board(loaded, {.each_seed = options->seeds}));
    return 0;
  });
}

void add_export(Cli& cli) {
  Command command(cli, "export", "Canonical result rows: the same bytes for the same results",
                  "  assay export > results.csv\n"
                  "  assay export runs/demo --format json -o results.json\n"
                  "  assay export --timing               # with latencies and costs");
  struct Options {
    std::string run, file, format = "csv";
    bool timing = false;
  };
  const auto options = std::make_shared<Options>();
  command.argument("run", options->run, "Run folder (default: the newest)", "RUN");
  command.option("-o,--output", options->file, "File instead of stdout", "FILE");
  command.choice("--format", options->format, "How rows are written", {"csv", "json"});
  command.flag("--timing", options->timing, "Add what differs between two runs: timings and costs");
  command.runs([options] {
    results::Reader reader = open_run(options->run);
    const auto cost = options->timing ? reader.cost() : std::vector<results::CostRow>{};
    write_text(results::export_rows(reader.results(), cost,
                                    {.timing = options->timing, .json = options->format == "json"}),
               options->file);
    return 0;
  });
}

// Members of a JSON object have names of their own.
void check_names(const std::vector<std::string>& columns) {
  std::set<std::string> seen;
  for (const std::string& name : columns) {
    if (seen.insert(name).second) continue;
    throw Error(ErrorKind::kConfig,
                fmt::format("two columns are named '{}'; name them apart with AS", name));
  }
}

void add_query(Cli& cli) {
  Command command(
      cli, "query", "Read-only SQL on the results database (docs/formats/database.md)",
      "  assay query demo \"SELECT model, method, value FROM leaderboard WHERE name = 'top1'\"\n"
      "  assay query demo \"SELECT * FROM coverage\" --format csv");
  struct Options {
    std::string run, sql;
  };
  const auto options = std::make_shared<Options>();
  command.format();
  command.argument("run", options->run, "Run folder; \"\" for the newest", "RUN").required();
  command.argument("sql", options->sql, "One SELECT", "SQL").required();
  command.runs([&cli, options] {
    results::Reader reader = open_run(options->run);
    const results::QueryResult result = reader.query(options->sql);
    if (cli.common.format == "json") check_names(result.columns);
    cli.print({results::table_of(result)});
    return 0;
  });
}

void add_show(Cli& cli) {
  Command command(cli, "show", "One trial: parameters, figures, stages, how to repeat it alone",
                  "  assay show 3f2a\n"
                  "  assay show 3f2a --run runs/demo --format json\n"
                  "  assay show 3f2a --tensors           # how every tensor is stored");
  struct Options {
    std::string trial, run;
    bool tensors = false;
  };
  const auto options = std::make_shared<Options>();
  command.format();
  command.argument("trial", options->trial, "Its id, first digits of it, or its label", "TRIAL")
      .required();
  command.option("--run", options->run, "Run folder (default: the newest)", "RUN");
  command.flag("--tensors", options->tensors,
               "Each tensor of its network by itself: quantized, or float");
  command.runs([&cli, options] {
    results::Reader reader = open_run(options->run);
    cli.print(results::show(reader, results::find_trial(reader, options->trial),
                            {.tensors = options->tensors}));
    return 0;
  });
}

}  // namespace

void results_commands(Cli& cli) {
  add_board(cli);
  add_export(cli);
  add_query(cli);
  add_show(cli);
}

}  // namespace assay::app
