#include <fmt/format.h>

#include "harness/app/cli.h"
#include "harness/app/folders.h"
#include "harness/core/atomic_file.h"
#include "harness/core/error.h"
#include "harness/supervise/store.h"
#include "results/board/board.h"
#include "results/board/compare.h"
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
      for (const std::string& name : *runs) {
        const auto run = find_run(name);
        results::Reader reader(database_of(run));
        loaded.push_back(results::load(reader, run.lexically_normal().string()));
      }
      cli.print(results::board(loaded, {.each_seed = *seeds}));
      return 0;
    };
  });
}

std::vector<results::ResultRow> rows_of(const std::vector<results::ResultRow>& all,
                                        const std::string& trial) {
  std::vector<results::ResultRow> rows;
  for (const auto& row : all) {
    if (row.trial == trial) rows.push_back(row);
  }
  return rows;
}

std::filesystem::path samples_of(supervise::Store& store, const results::ResultRow& row) {
  const auto artifact = store.lookup(row.stage);
  std::error_code ignored;
  if (artifact) {
    const auto file = artifact->path / "samples.safetensors";
    if (std::filesystem::exists(file, ignored)) return file;
  }
  throw Error(ErrorKind::kConfig,
              fmt::format("{} of {} has no per-sample values in the store {} ({}); "
                          "`assay run SWEEP` computes what is missing",
                          row.metric, row.label, store.root().string(),
                          artifact ? "the stage kept none" : "its artifact is not there"),
              {{"stage", row.stage}});
}

struct CompareRequest {
  std::string left, right, run;
  results::BootstrapOptions bootstrap;
};

std::vector<results::Comparison> comparisons(results::Reader& reader,
                                             const results::TrialSummary& left,
                                             const results::TrialSummary& right,
                                             const results::BootstrapOptions& options) {
  const auto all = reader.results();
  const auto pairs =
      results::common_metrics(rows_of(all, left.id), rows_of(all, right.id),
                              [&reader](const std::string& f) { return reader.protocol(f); });
  supervise::Store store;
  std::vector<results::Comparison> out;
  for (const results::MetricPair& pair : pairs) {
    const SafetensorsFile a(samples_of(store, pair.left)), b(samples_of(store, pair.right));
    for (results::Comparison& c : results::compare_samples(a, b, options)) {
      c.metric = pair.left.metric;
      c.where = pair.left.data + "/" + pair.left.split;
      out.push_back(std::move(c));
    }
  }
  return out;
}

void add_compare(Cli& cli) {
  CLI::App* command =
      add_command(cli, "compare", "Paired comparison of two trials: difference, interval, flips",
                  "  assay compare 3f2a 9c41\n"
                  "  assay compare 3f2a 9c41 --run runs/demo --resamples 100000 --level 0.99");
  add_format(cli, command);
  auto request = std::make_shared<CompareRequest>();
  command->add_option("a", request->left, "Trial A: its id, first digits of it, or its label")
      ->required()
      ->option_text("TRIAL");
  command->add_option("b", request->right, "Trial B")->required()->option_text("TRIAL");
  command->add_option("--run", request->run, "Run folder (default: the newest)")
      ->option_text("RUN");
  command->add_option("--resamples", request->bootstrap.resamples, "Of the bootstrap")
      ->check(CLI::Range(1, 10'000'000))
      ->option_text("N (10000)");
  command->add_option("--seed", request->bootstrap.seed, "Of the bootstrap")->option_text("N (0)");
  command->add_option("--level", request->bootstrap.level, "Of the interval")
      ->check(CLI::Range(0.01, 0.9999))
      ->option_text("P (0.95)");
  command->callback([&cli, request] {
    cli.action = [&cli, request] {
      results::Reader reader = open_run(request->run);
      const auto left = results::find_trial(reader, request->left);
      const auto right = results::find_trial(reader, request->right);
      const auto found = comparisons(reader, left, right, request->bootstrap);
      cli.print({results::comparison_table(left.label, right.label, found, request->bootstrap)});
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
  add_compare(cli);
  add_export(cli);
  add_query(cli);
  add_show(cli);
}

}  // namespace assay::app
