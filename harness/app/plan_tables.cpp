#include "harness/app/plan_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "harness/run/run_status.h"

namespace assay::app {
namespace {

using results::Cell;
using results::count_cell;
using results::empty_cell;
using results::Table;
using results::text_cell;

std::string bytes_text(std::int64_t bytes) {
  constexpr std::array kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  double amount = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (amount >= 1024 && unit + 1 < kUnits.size()) {
    amount /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", amount, kUnits[unit]);
}

Cell bytes_cell(const std::optional<std::int64_t>& bytes) {
  return bytes ? Cell{bytes_text(*bytes), *bytes} : empty_cell();
}

Cell seconds_cell(const std::optional<double>& seconds) {
  return seconds ? Cell{run::duration_text(*seconds), *seconds} : empty_cell();
}

// A fact that a provider told: a number or a text.
Cell fact_cell(const Json& facts, const char* name) {
  const auto found = facts.find(name);
  if (found == facts.end() || found->is_null()) return empty_cell();
  if (found->is_number_integer()) return count_cell(found->get<std::int64_t>());
  return {found->is_string() ? found->get<std::string>() : found->dump(), *found};
}

Cell fact_bytes(const Json& facts) {
  const auto found = facts.find("bytes");
  if (found == facts.end() || !found->is_number_integer()) return empty_cell();
  return bytes_cell(found->get<std::int64_t>());
}

Table model_table(const run::InputFacts& facts) {
  Table table{.title = "Models",
              .columns = {{"model"},
                          {"parameters", true},
                          {"dtype"},
                          {"size", true},
                          {"outputs", true},
                          {"context", true},
                          {"input"}}};
  for (const auto& [name, model] : facts.models) {
    table.rows.push_back({text_cell(name), fact_cell(model, "parameters"),
                          fact_cell(model, "dtype"), fact_bytes(model), fact_cell(model, "outputs"),
                          fact_cell(model, "context"), fact_cell(model, "input")});
  }
  return table;
}

Table data_table(const run::InputFacts& facts) {
  Table table{
      .title = "Data",
      .columns = {
          {"data"}, {"split"}, {"size", true}, {"images", true}, {"classes", true}, {"input"}}};
  for (const auto& [key, data] : facts.data) {
    table.rows.push_back({text_cell(key.first), text_cell(key.second), fact_bytes(data),
                          fact_cell(data, "images"), fact_cell(data, "classes"),
                          fact_cell(data, "input")});
  }
  return table;
}

// "about 3 min 20 s on 4 slots, ..."; what no earlier run tells is said too.
std::string prediction(const plan::PlanSummary& summary) {
  const std::int64_t to_run = summary.stages - summary.done;
  if (to_run == 0) return "nothing is left to run";
  if (!summary.expected_wall_s) {
    return "time, memory and bytes are predicted from a run of this sweep; there is none yet "
           "(--out DIR names its folder)";
  }
  std::string text =
      fmt::format("predicted: {} on {} slot{}", run::duration_text(*summary.expected_wall_s),
                  summary.slots, summary.slots == 1 ? "" : "s");
  if (summary.memory_bytes) {
    text += fmt::format(", at most {} of memory a slot", bytes_text(*summary.memory_bytes));
  }
  if (summary.peak_store_bytes) {
    text += fmt::format(", {} more in the store", bytes_text(*summary.peak_store_bytes));
  }
  if (summary.stages_without_cost > 0) {
    text += fmt::format("; not counting {} stages that no earlier run has timed",
                        summary.stages_without_cost);
  }
  return text;
}

Table stage_table(const plan::PlanSummary& summary) {
  Table table{.title = fmt::format("Plan of {}", summary.sweep),
              .columns = {{"stage"},
                          {"distinct", true},
                          {"shared", true},
                          {"uses", true},
                          {"done", true},
                          {"to run", true},
                          {"time", true},
                          {"memory", true},
                          {"bytes", true}}};
  for (const plan::StageSummary& row : summary.by_stage) {
    table.rows.push_back({text_cell(row.name), count_cell(row.stages), count_cell(row.shared),
                          count_cell(row.uses), count_cell(row.done),
                          count_cell(row.stages - row.done), seconds_cell(row.expected_s),
                          bytes_cell(row.memory_bytes), bytes_cell(row.size_bytes)});
  }
  table.notes.push_back(
      fmt::format("{} {}, {} distinct stages ({} without sharing), {} done, {} to run",
                  summary.trials, summary.trials == 1 ? "trial" : "trials", summary.stages,
                  summary.unshared_stages, summary.done, summary.stages - summary.done));
  if (summary.points > summary.trials) {
    table.notes.push_back(
        fmt::format("{} points of the sweep; those that differ only in what their trial never "
                    "reads (a seed, a parameter) are one trial",
                    summary.points));
  }
  table.notes.push_back(prediction(summary));
  return table;
}

// What a repeat of a trial would give.
std::string repeats_of(const plan::TrialSummary& trial) {
  std::string text = trial.deterministic ? "deterministic" : "by seed";
  if (trial.points > 1) text += fmt::format(", {} points are one", trial.points);
  return text;
}

Table trial_table(const plan::PlanSummary& summary, std::size_t max_trials) {
  Table table{.title = "Trials",
              .columns = {{"trial"}, {"id"}, {"repeats"}, {"stages", true}, {"done", true}}};
  for (std::size_t i = 0; i < std::min(max_trials, summary.by_trial.size()); ++i) {
    const plan::TrialSummary& row = summary.by_trial[i];
    table.rows.push_back({text_cell(row.label), text_cell(row.id), text_cell(repeats_of(row)),
                          count_cell(row.stages), count_cell(row.done)});
  }
  if (summary.by_trial.size() > max_trials) {
    table.notes.push_back(
        fmt::format("... and {} more trials", summary.by_trial.size() - max_trials));
  }
  return table;
}

Table left_out_table(const plan::PlanSummary& summary) {
  Table table{.title = "Metrics left out",
              .columns = {{"metric"}, {"trials", true}, {"why"}, {"for example"}}};
  for (const plan::LeftOutSummary& row : summary.left_out) {
    table.rows.push_back({text_cell(row.metric), count_cell(row.pairs), text_cell(row.reason),
                          text_cell(row.example)});
  }
  return table;
}

Table impossible_table(const plan::PlanSummary& summary) {
  Table table{.title = "Trials left out (impossible: skip)", .columns = {{"trial"}, {"why"}}};
  for (const plan::Impossible& row : summary.impossible) {
    table.rows.push_back({text_cell(row.label), text_cell(row.reason)});
  }
  return table;
}

}  // namespace

std::vector<Table> plan_tables(const plan::PlanSummary& summary, const run::InputFacts& facts,
                               std::size_t max_trials) {
  std::vector<Table> tables;
  const auto add = [&](Table table) {
    if (!table.rows.empty()) tables.push_back(std::move(table));
  };
  add(model_table(facts));
  add(data_table(facts));
  add(stage_table(summary));
  add(trial_table(summary, max_trials));
  add(left_out_table(summary));
  add(impossible_table(summary));
  return tables;
}

}  // namespace assay::app
