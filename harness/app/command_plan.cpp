#include <fmt/format.h>

#include <algorithm>

#include "harness/app/cli.h"
#include "harness/app/folders.h"
#include "harness/app/run_command.h"
#include "harness/app/sweep_options.h"
#include "harness/plan/summary.h"
#include "harness/supervise/store.h"
#include "results/store/reader.h"

namespace assay::app {
namespace {

// Mean seconds of each stage name in the database of an earlier run of this sweep, if there is one.
plan::Costs learned_costs(const std::filesystem::path& run) {
  plan::Costs costs;
  std::error_code ignored;
  if (!std::filesystem::exists(database_of(run), ignored)) return costs;
  std::map<std::string, std::pair<double, int>> sums;
  for (const auto& stage : results::Reader(database_of(run)).stage_costs()) {
    if (stage.state != "done") continue;
    sums[stage.name].first += stage.worth_s;
    sums[stage.name].second += 1;
  }
  for (const auto& [name, sum] : sums) costs.wall_s[name] = sum.first / sum.second;
  return costs;
}

}  // namespace

int plan_sweep(const SweepRequest& request, const std::filesystem::path& out) {
  const LoadedSweep loaded = load_and_plan(request);
  supervise::Store store;
  const auto listed = store.listed();
  const auto is_done = [&](const std::string& key) {
    return listed.contains(key) && store.lookup(key).has_value();
  };
  const auto run = out.empty() ? std::filesystem::path("runs") / loaded.sweep.name : out;
  const auto summary = plan::describe_plan(loaded.plan, is_done, learned_costs(run));
  fmt::print("{}", plan::markdown(summary));
  return kDone;
}

void add_plan_command(Cli& cli) {
  CLI::App* command =
      add_command(cli, "plan", "Check a sweep and show what would run; nothing runs",
                  "  assay plan sweeps/demo.yaml\n"
                  "  assay plan sweeps/demo.yaml --set run.slots=2 --only \"bits == 'W4A8'\"");
  auto request = std::make_shared<SweepRequest>();
  auto out = std::make_shared<std::string>();
  add_sweep_options(command, *request);
  command->add_option("--out", *out, "Run folder whose durations predict the cost")
      ->option_text("DIR");
  command->callback(
      [&cli, request, out] { cli.action = [=] { return plan_sweep(*request, *out); }; });
}

}  // namespace assay::app
