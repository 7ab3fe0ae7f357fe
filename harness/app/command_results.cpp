#include <fmt/format.h>

#include <set>

#include "harness/app/cli.h"
#include "harness/app/folders.h"
#include "harness/core/atomic_file.h"
#include "harness/core/error.h"
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
  CLI::App* command =
      add_command(cli, "board", "Leaderboard of one run or several, grouped by protocol",
                  "  assay board                          # newest run\n"
                  "  assay board runs/demo runs/other --format md\n"
                  "  assay board --seeds                  # a row a seed");
  add_format(cli, command);
  auto runs = std::make_shared<std::vector<std::string>>();
  auto seeds = std::make_shared<bool>(false);
  command->add_option("run", *runs, "Run folders, or names below runs/ (default: the newest)")
      ->option_text("RUN...");
  command->add_flag("--seeds", *seeds, "Each seed by itself instead of mean and deviation");
  command->callback([&cli, runs, seeds] {
    cli.action = [&cli, runs, seeds] {
      if (runs->empty()) runs->emplace_back();
      std::vector<results::RunResults> loaded;
      std::set<std::filesystem::path> known;
      for (const std::string& name : *runs) {
        const auto run = find_run(name);
        if (!known.insert(std::filesystem::weakly_canonical(run)).second) continue;
        results::Reader reader(database_of(run));
        loaded.push_back(results::load(reader, run.lexically_normal().string()));
      }
      cli.print(results::board(loaded, {.each_seed = *seeds}));
      return 0;
    };
  });
}

void add_export(Cli& cli) {
  CLI::App* command =
      add_command(cli, "export", "Canonical result rows: the same bytes for the same results",
                  "  assay export > results.csv\n"
                  "  assay export runs/demo --format json -o results.json\n"
                  "  assay export --timing               # with latencies and costs");
  auto run = std::make_shared<std::string>();
  auto file = std::make_shared<std::string>();
  auto format = std::make_shared<std::string>("csv");
  auto timing = std::make_shared<bool>(false);
  command->add_option("run", *run, "Run folder (default: the newest)")->option_text("RUN");
  command->add_option("-o,--output", *file, "File instead of stdout")->option_text("FILE");
  command->add_option("--format", *format, "How rows are written")
      ->check(CLI::IsMember({"csv", "json"}))
      ->option_text("csv|json");
  command->add_flag("--timing", *timing, "Add what differs between two runs: timings and costs");
  command->callback([&cli, run, file, format, timing] {
    cli.action = [=] {
      results::Reader reader = open_run(*run);
      const results::ExportOptions options{.timing = *timing, .json = *format == "json"};
      const auto cost = *timing ? reader.cost() : std::vector<results::CostRow>{};
      write_text(results::export_rows(reader.results(), cost, options), *file);
      return 0;
    };
  });
}

void add_query(Cli& cli) {
  CLI::App* command = add_command(
      cli, "query", "Read-only SQL on the results database (docs/formats/database.md)",
      "  assay query demo \"SELECT model, method, value FROM leaderboard WHERE name = 'top1'\"\n"
      "  assay query demo \"SELECT * FROM coverage\" --format csv");
  add_format(cli, command);
  auto run = std::make_shared<std::string>();
  auto sql = std::make_shared<std::string>();
  command->add_option("run", *run, "Run folder; \"\" for the newest")
      ->required()
      ->option_text("RUN");
  command->add_option("sql", *sql, "One SELECT")->required()->option_text("SQL");
  command->callback([&cli, run, sql] {
    cli.action = [&cli, run, sql] {
      results::Reader reader = open_run(*run);
      cli.print({results::table_of(reader.query(*sql))});
      return 0;
    };
  });
}

void add_show(Cli& cli) {
  CLI::App* command =
      add_command(cli, "show", "One trial: parameters, figures, stages, how to repeat it alone",
                  "  assay show 3f2a\n  assay show 3f2a --run runs/demo --format json");
  add_format(cli, command);
  auto trial = std::make_shared<std::string>();
  auto run = std::make_shared<std::string>();
  command->add_option("trial", *trial, "Its id, first digits of it, or its label")
      ->required()
      ->option_text("TRIAL");
  command->add_option("--run", *run, "Run folder (default: the newest)")->option_text("RUN");
  command->callback([&cli, trial, run] {
    cli.action = [&cli, trial, run] {
      results::Reader reader = open_run(*run);
      cli.print(results::show(reader, results::find_trial(reader, *trial)));
      return 0;
    };
  });
}

}  // namespace

void add_result_commands(Cli& cli) {
  add_board(cli);
  add_compare_command(cli);
  add_export(cli);
  add_query(cli);
  add_show(cli);
}

}  // namespace assay::app
