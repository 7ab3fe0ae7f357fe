#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "harness/app/cli.h"
#include "harness/app/folders.h"
#include "harness/base/error.h"
#include "harness/base/log.h"
#include "harness/formats/input_watch.h"
#include "harness/run/sample_files.h"
#include "harness/supervise/store.h"
#include "results/board/compare.h"
#include "results/board/compared_row.h"
#include "results/board/comparison_table.h"
#include "results/board/metric_pairs.h"
#include "results/board/show.h"

namespace assay::app {
namespace {

namespace fs = std::filesystem;

struct CompareRequest {
  std::string left, right, run;
  results::BootstrapOptions bootstrap;
  bool quiet = false;
};

// One side: a row of the board of one run.
struct Side {
  fs::path run;
  std::unique_ptr<results::Reader> reader;
  results::ComparedRow row;
  std::vector<results::ResultRow> results;  // of all trials of the run
};

Side opened_side(const fs::path& run, const std::string& trial) {
  Side side{run, std::make_unique<results::Reader>(database_of(run)), {}, {}};
  side.row = results::find_row(*side.reader, trial);
  side.results = side.reader->results();
  return side;
}

bool is_label_in(const fs::path& run, const std::string& text) {
  results::Reader reader(database_of(run));
  return results::is_label(reader, text);
}

// `text` is RUN/TRIAL, or TRIAL of the run that --run names. Names of models may hold slashes, so a
// label of that run comes first, and then the shortest trial behind a run that has it.
Side side_of(const std::string& text, const std::string& usual_run) {
  std::vector<std::pair<std::string, std::string>> readings;  // run, trial
  for (std::size_t slash = text.rfind('/'); slash != std::string::npos && slash > 0;
       slash = text.rfind('/', slash - 1)) {
    if (is_run(text.substr(0, slash))) {
      readings.emplace_back(text.substr(0, slash), text.substr(slash + 1));
    }
  }
  if (readings.empty()) return opened_side(find_run(usual_run), text);
  if (is_run(usual_run)) {
    const fs::path usual = find_run(usual_run);
    if (is_label_in(usual, text)) return opened_side(usual, text);
  }
  for (const auto& [run, trial] : readings) {
    const fs::path folder = find_run(run);
    if (readings.size() > 1 && !is_label_in(folder, trial)) continue;
    return opened_side(folder, trial);
  }
  return opened_side(find_run(readings.front().first), readings.front().second);
}

std::vector<results::ResultRow> rows_of(const Side& side, const results::TrialSummary& trial) {
  std::vector<results::ResultRow> rows;
  for (const auto& row : side.results) {
    if (row.trial == trial.id) rows.push_back(row);
  }
  return rows;
}

using Samples = std::shared_ptr<const SafetensorsFile>;

// Mapped, once it was read and found to be what was published; nothing, and a warning, if it is
// not.
Samples opened(const fs::path& file, const std::string& digest) {
  try {
    return map_input(FileSet(), {.path = file, .digest = digest, .published = true});
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kData && e.kind() != ErrorKind::kIo) throw;
    log_warning("{}", e.what());
    return nullptr;
  }
}

// In the run folder, else in the store.
Samples samples_of(const Side& side, const results::ResultRow& row) {
  std::error_code ignored;
  const Json result = side.reader->result(row.stage);
  const Json digests =
      result.is_object() ? result.value("digests", Json::object()) : Json::object();
  const std::string digest = digests.value(run::kSamplesFile, "");
  const fs::path kept = run::samples_in(side.run, row.stage);
  if (fs::exists(kept, ignored)) {
    if (const Samples samples = opened(kept, digest)) return samples;
  }
  supervise::Store store;
  const auto artifact = store.verified(row.stage);
  if (artifact) {
    const fs::path file = artifact->path / run::kSamplesFile;
    const Samples samples = fs::exists(file, ignored) ? opened(file, digest) : nullptr;
    if (samples != nullptr) return samples;
  }
  throw Error(
      ErrorKind::kConfig,
      fmt::format("{} of {} has no per-sample values: neither {} nor the store {} holds them whole "
                  "({})",
                  row.metric, row.label, kept.string(), store.root().string(),
                  artifact ? "the stage kept none"
                           : "its artifact is not there, or damaged; `assay run SWEEP` computes "
                             "what is missing"),
      {{"stage", row.stage}});
}

// The files of every seed of a side that was measured as `like`.
results::SampleFiles files_of(const Side& side, const results::ResultRow& like) {
  results::SampleFiles files;
  for (const results::TrialSummary& trial : side.row.trials) {
    const results::ResultRow* found = nullptr;
    for (const auto& row : side.results) {
      if (row.trial == trial.id && row.metric == like.metric && row.data == like.data &&
          row.split == like.split && row.fingerprint == like.fingerprint) {
        found = &row;
      }
    }
    if (found == nullptr) {
      throw Error(
          ErrorKind::kConfig,
          fmt::format("{} has no {} on {}/{} yet; `assay run SWEEP` computes what is missing",
                      trial.label, like.metric, like.data, like.split),
          {{"trial", trial.id}});
    }
    files.push_back(samples_of(side, *found));
  }
  return files;
}

// Says how far long comparisons are, on a terminal.
results::BootstrapProgress progress_line(bool quiet) {
  if (quiet || ::isatty(STDERR_FILENO) == 0) return {};
  const auto start = std::chrono::steady_clock::now();
  return [start](int done, int total) {
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
    if (passed.count() < 1) return;
    fmt::print(stderr, "\rresamples: {} %  \r", 100 * static_cast<std::int64_t>(done) / total);
    std::fflush(stderr);
  };
}

// The figure of each trial of a side, in the order of its files. Throws Error(kData) for a trial
// without it.
std::vector<double> values_of(const Side& side, const results::ResultRow& figure) {
  std::vector<double> values;
  for (const results::TrialSummary& trial : side.row.trials) {
    const auto found = std::find_if(side.results.begin(), side.results.end(), [&](const auto& row) {
      return row.trial == trial.id && row.metric == figure.metric && row.data == figure.data &&
             row.split == figure.split && row.fingerprint == figure.fingerprint &&
             row.name == figure.name && row.samples == figure.samples && row.value;
    });
    if (found == side.results.end()) {
      throw Error(ErrorKind::kData,
                  fmt::format("{} has no value, or declares other per-sample values", trial.label));
    }
    values.push_back(*found->value);
  }
  return values;
}

// Boards show what a stage reported; its samples must tell the same.
void require_same(const char* side, const std::vector<double>& reported, double computed) {
  constexpr double kRounded = 1e-4;  // a provider may give four digits
  double mean = 0;
  for (const double value : reported) mean += value / static_cast<double>(reported.size());
  if (!std::isfinite(computed)) {
    throw Error(
        ErrorKind::kData,
        fmt::format("{} is {:.6g} on the board, and its per-sample values overflow or weigh "
                    "nothing",
                    side, mean));
  }
  if (std::abs(mean - computed) <= kRounded * std::max(std::abs(mean), std::abs(computed))) return;
  throw Error(
      ErrorKind::kData,
      fmt::format("{} is {:.6g} on the board and {:.6g} by its per-sample values, which the "
                  "metric declares",
                  side, mean, computed));
}

// Compares what two sides have in common; what cannot be compared is told.
std::vector<results::Comparison> comparisons_of(const Side& left, const Side& right,
                                                const std::vector<results::MetricPair>& pairs,
                                                const CompareRequest& request,
                                                std::vector<std::string>& left_out) {
  const auto leave_out = [&](const std::string& what, const results::MetricPair& of,
                             const std::string& why) {
    left_out.push_back(
        fmt::format("left out: {} of {} on {}: {}", what, of.left.metric, of.where, why));
  };
  results::BootstrapOptions options = request.bootstrap;
  options.progress = progress_line(request.quiet);
  const bool seeds_match = left.row.seeds() == right.row.seeds();
  std::vector<results::Comparison> all;
  for (const results::MetricPair& pair : pairs) {
    for (const auto& [why, names] : pair.left_out) {
      leave_out(fmt::format("{}", fmt::join(names, ", ")), pair, why);
    }
    if (pair.figures.empty()) continue;
    results::SampleFiles a, b;
    try {
      a = files_of(left, pair.left);
      b = files_of(right, pair.right);
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::kConfig && e.kind() != ErrorKind::kData) throw;
      std::vector<std::string> names;
      for (const results::ResultRow& figure : pair.figures) names.push_back(figure.name);
      leave_out(fmt::format("{}", fmt::join(names, ", ")), pair, e.what());
      continue;
    }
    for (const results::ResultRow& figure : pair.figures) {
      try {
        const auto reported_a = values_of(left, figure), reported_b = values_of(right, figure);
        results::Comparison c = results::compare_samples(figure, a, b, seeds_match, options);
        require_same("A", reported_a, c.estimate.left);
        require_same("B", reported_b, c.estimate.right);
        c.where = pair.where;
        all.push_back(std::move(c));
      } catch (const Error& e) {
        if (e.kind() != ErrorKind::kData && e.kind() != ErrorKind::kUnsupported) throw;
        leave_out(figure.name, pair, e.what());
      }
    }
  }
  return all;
}

results::Table comparison(const CompareRequest& request) {
  const Side left = side_of(request.left, request.run), right = side_of(request.right, request.run);
  std::vector<std::string> left_out;
  const auto pairs = results::common_metrics(
      rows_of(left, left.row.trials.front()), rows_of(right, right.row.trials.front()),
      [&](const std::string& fingerprint) {
        Json protocol = left.reader->protocol(fingerprint);
        return protocol.empty() ? right.reader->protocol(fingerprint) : protocol;
      },
      left_out);
  const std::vector<results::Comparison> all =
      comparisons_of(left, right, pairs, request, left_out);
  if (all.empty()) {
    throw Error(ErrorKind::kConfig,
                fmt::format("nothing can be compared: {}", fmt::join(left_out, "; ")));
  }
  const auto label = [](const Side& side) {
    const std::size_t seeds = side.row.trials.size();
    return side.row.label + (seeds > 1 ? fmt::format(" ({} seeds)", seeds) : "");
  };
  const bool seeds_drawn = left.row.trials.size() + right.row.trials.size() > 2;
  results::Table table =
      results::comparison_table(label(left), label(right), all, seeds_drawn, request.bootstrap);
  table.notes.insert(table.notes.end(), left_out.begin(), left_out.end());
  const results::ResultRow &row_a = pairs.front().left, &row_b = pairs.front().right;
  for (const std::string& note :
       {results::quantization_note(row_a, row_b), results::weights_note(row_a, row_b)}) {
    if (!note.empty()) table.notes.push_back(note);
  }
  return table;
}

// A bound beyond the outermost resamples would be that of a lower level.
void check_tails(const results::BootstrapOptions& options) {
  const double outside = options.resamples * (1 - options.level) / 2;
  if (outside >= 1 - 1e-9) return;
  throw Error(
      ErrorKind::kConfig,
      fmt::format("--level {:g} with --resamples {}: less than one resample lies beyond each "
                  "end of the interval; give at least --resamples {}",
                  options.level, options.resamples,
                  static_cast<std::int64_t>(std::ceil(2 / (1 - options.level) - 1e-6))));
}

}  // namespace

void compare_commands(Cli& cli) {
  Command command(
      cli, "compare", "Paired comparison of two trials: difference, interval, flips",
      "  assay compare 3f2a 9c41\n"
      "  assay compare runs/monday/3f2a runs/tuesday/3f2a\n"
      "  assay compare 'vit_fashion rtn W4A8' 'vit_fashion psaq_vit W4A8'   # all seeds\n"
      "  assay compare 3f2a 9c41 --run runs/demo --resamples 100000 --level 0.99");
  const auto request = std::make_shared<CompareRequest>();
  results::BootstrapOptions& bootstrap = request->bootstrap;
  command.format();
  command
      .argument("a", request->left,
                "Trial A: its id, first digits of it, its label, or its label without the seeds "
                "(all of them); RUN/ before it names another run",
                "[RUN/]TRIAL")
      .required();
  command.argument("b", request->right, "Trial B", "[RUN/]TRIAL").required();
  command.option("--run", request->run, "Run folder (default: the newest)", "RUN");
  command.number("--resamples", bootstrap.resamples, "Of the bootstrap", "N (10000)", 100,
                 10'000'000);
  command.number("--seed", bootstrap.seed, "Of the bootstrap", "N (0)");
  command.number("--level", bootstrap.level, "Of the interval", "P (0.95)", 0.01, 0.9999);
  command.runs([&cli, request] {
    check_tails(request->bootstrap);
    request->quiet = cli.common.quiet;
    cli.print({comparison(*request)});
    return 0;
  });
}

}  // namespace assay::app
