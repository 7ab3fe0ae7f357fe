#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "harness/app/cli.h"
#include "harness/app/folders.h"
#include "harness/app/plan_tables.h"
#include "harness/app/sweep_options.h"
#include "harness/base/log.h"
#include "harness/plan/summary.h"
#include "harness/run/inventory.h"
#include "harness/run/node_slots.h"
#include "harness/run/run_sweep.h"
#include "harness/supervise/store.h"
#include "results/store/reader.h"

namespace assay::app {
namespace {

// What the stages of an earlier run of this sweep took, by kind and by name.
plan::Costs costs_in(results::Reader& reader) {
  plan::Costs costs;
  const auto rows = reader.query(
      "SELECT name, label, wall_s, size_bytes, (SELECT max(peak_memory_bytes) FROM attempt "
      "a "
      "WHERE a.stage = s.key) FROM stage s WHERE state = 'done' AND wall_s IS NOT NULL");
  std::map<std::string, std::pair<double, int>> times;
  std::map<std::string, std::pair<std::int64_t, int>> sizes;
  for (const auto& row : rows.rows) {
    const auto name = row[0].get<std::string>();
    const std::string kind = plan::kind_of(row[1].get<std::string>());
    // A stage whose kind is its name counts once.
    for (const std::string& key : std::set<std::string>{name, kind}) {
      times[key].first += row[2].get<double>();
      ++times[key].second;
      if (row[3].is_number()) {
        sizes[key].first += row[3].get<std::int64_t>();
        ++sizes[key].second;
      }
      if (row[4].is_number()) {
        std::int64_t& most = costs.memory_bytes[key];
        most = std::max(most, row[4].get<std::int64_t>());
      }
    }
  }
  for (const auto& [key, sum] : times) costs.wall_s[key] = sum.first / sum.second;
  for (const auto& [key, sum] : sizes) costs.size_bytes[key] = sum.first / sum.second;
  return costs;
}

// Timings are results of one run and of no other: the store does not list them.
std::set<std::string> timings_in(results::Reader& reader) {
  std::set<std::string> keys;
  const auto found = reader.query("SELECT key FROM stage WHERE state = 'done' AND cache = 'run'");
  for (const auto& row : found.rows) keys.insert(row[0].get<std::string>());
  return keys;
}

// Stages that a run would not try again by itself.
std::set<std::string> failed_in(results::Reader& reader) {
  std::set<std::string> keys;
  for (const auto& row : reader.query("SELECT key, kind FROM stage WHERE state = 'failed'").rows) {
    if (!run::worth_another_try(row[1].get<std::string>())) keys.insert(row[0].get<std::string>());
  }
  return keys;
}

// What an earlier run of the sweep in the same folder tells.
struct Learned {
  plan::Costs costs;
  std::set<std::string> failed;
  std::set<std::string> timings;  // keys of those that need not run again
};

// Nothing where there is no earlier run, or its database cannot be believed: `assay run` would go
// on without it, too.
Learned learned_from(const std::filesystem::path& run) {
  std::error_code ignored;
  const std::filesystem::path database = database_of(run);
  if (!std::filesystem::exists(database, ignored)) return {};
  try {
    results::Reader reader(database);
    return {costs_in(reader), failed_in(reader), timings_in(reader)};
  } catch (const Error& e) {
    log_warning("nothing is predicted: {}", e.what());
    return {};
  }
}

// The slots that `assay run` would use on this machine; 1 where it could use none.
std::int64_t slots_of(const spec::RunSettings& run) {
  try {
    const run::Slots slots = run::slots_of_this_node(
        {.jobs = run.slots.value_or(0), .threads = run.threads, .device = run.device});
    return static_cast<std::int64_t>(slots.options.size());
  } catch (const Error&) {
    return 1;
  }
}

}  // namespace

int plan_sweep(const Cli& cli, const run::SweepRequest& request, const std::filesystem::path& out) {
  const run::LoadedSweep loaded = run::load_and_plan(request);
  supervise::Store store;
  const auto listed = store.listed();
  const auto run = out.empty() ? std::filesystem::path("runs") / loaded.sweep.name : out;
  const Learned learned = learned_from(run);
  const auto is_done = [&](const std::string& key) {
    return learned.timings.contains(key) || (listed.contains(key) && store.lookup(key).has_value());
  };
  const auto summary =
      plan::describe_plan(loaded.plan, is_done, learned.costs, slots_of(loaded.sweep.run));
  std::vector<results::Table> tables = plan_tables(summary, loaded.facts);
  const auto failed = std::count_if(
      loaded.plan.stages.begin(), loaded.plan.stages.end(),
      [&](const auto& stage) { return learned.failed.contains(stage.key) && !is_done(stage.key); });
  if (failed > 0) {
    tables.front().notes.push_back(fmt::format(
        "{} of them failed in {}: `assay run` leaves {} and what rests on {} alone "
        "unless --retry-failed is given",
        failed, run.string(), failed == 1 ? "it" : "them", failed == 1 ? "it" : "them"));
  }
  tables.front().notes.push_back(loaded.numerics);
  for (const std::string& note : loaded.notes) tables.back().notes.push_back(note);
  cli.print(tables);
  return run::kDone;
}

void plan_commands(Cli& cli) {
  Command command(cli, "plan", "Check a sweep and show what would run; nothing runs",
                  "  assay plan sweeps/demo.yaml\n"
                  "  assay plan sweeps/demo.yaml --format json\n"
                  "  assay plan sweeps/demo.yaml --set run.slots=2 --only \"bits == 'W4A8'\"");
  command.format();
  const auto request = std::make_shared<run::SweepRequest>();
  const auto out = std::make_shared<std::filesystem::path>();
  add_sweep_options(command, *request);
  command.option("--out", *out, "Run folder whose durations predict the cost", "DIR");
  command.runs([&cli, request, out] { return plan_sweep(cli, *request, *out); });
}

}  // namespace assay::app
