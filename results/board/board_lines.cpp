#include "results/board/board_lines.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "harness/contract/catalogue.h"

namespace assay::results {
namespace {

constexpr const char* kTiming = "timing";

TableKey key_of(const ResultRow& r) {
  return {r.metric, r.data, r.split, r.name, r.settings, r.fingerprint};
}

TimingKey timing_key_of(const ResultRow& r) { return {r.name, r.unit, r.settings, r.fingerprint}; }

}  // namespace

Spread spread_of(const std::vector<double>& values) {
  Spread spread;
  for (const double v : values) spread.mean += v;
  spread.mean /= static_cast<double>(values.size());
  if (values.size() < 2) return spread;
  double squares = 0;
  for (const double v : values) squares += (v - spread.mean) * (v - spread.mean);
  spread.deviation = std::sqrt(squares / static_cast<double>(values.size() - 1));
  return spread;
}

BoardLines::BoardLines(const std::vector<RunResults>& runs, bool each_seed)
    : runs_(runs), each_seed_(each_seed) {
  for (const RunResults& run : runs) {
    for (const ResultRow& row : run.results) contents_.note(row);
  }
  for (const RunResults& run : runs) add_run(run);
  note_floats();
  for (auto& [key, lines] : tables_) remove_shown_before(lines);
  add_timing_tables();
  note_floats();
}

void BoardLines::add_run(const RunResults& run) {
  for (const CostRow& row : run.cost) costs_[{run.run, row.trial}] += row.worth_s;
  for (const ResultRow& row : run.results) {
    if (!row.is_primary || !row.value) continue;
    if (row.metric == kNetworkMetric) {
      network_.add(run.run, row);
    } else if (row.timing) {
      add_timing(run, row);
    } else {
      add_figure(run, row);
    }
  }
}

LineKey BoardLines::line_key(const RunResults& run, const ResultRow& row) const {
  return {run.run, each_seed_ ? row.trial : repeat_key(row.identity)};
}

void BoardLines::add_figure(const RunResults& run, const ResultRow& row) {
  Line& line = tables_[key_of(row)][line_key(run, row)];
  if (line.values.empty()) {
    line.first = row;
    line.is_float = row.method == "float";
    line.first.model = contents_.model_name(row);
    line.first.method = contents_.method_name(row);
    line.run = run.run;
  }
  line.values.push_back(*row.value);
  line.trials.push_back(row.trial);
  line.stages.push_back(row.stage);
  const auto cost = costs_.find({run.run, row.trial});
  if (cost != costs_.end()) line.cost_s += cost->second;
  settings_[{row.metric, row.name}].insert(row.settings);
}

void BoardLines::add_timing(const RunResults& run, const ResultRow& row) {
  timings_[timing_key_of(row)][line_key(run, row)].push_back(*row.value);
  settings_[{kTiming, row.name}].insert(row.settings);
}

void BoardLines::note_floats() {
  for (const auto& [key, lines] : tables_) {
    for (const auto& [unused, line] : lines) {
      if (line.is_float)
        floats_[key].emplace(std::pair(line.run, line.first.model), spread_of(line.values).mean);
    }
  }
}

std::optional<double> BoardLines::float_of(const TableKey& key, const Line& line) const {
  const auto known = floats_.find(key);
  if (known == floats_.end()) return std::nullopt;
  const auto own = known->second.find({line.run, line.first.model});
  if (own != known->second.end()) return own->second;
  if (line.first.timing) return std::nullopt;
  for (const auto& [place, value] : known->second) {
    if (place.second == line.first.model) return value;
  }
  return std::nullopt;
}

// Two runs that found the same results in the store show them once, if all repeats are the same;
// each timed for itself.
void BoardLines::remove_shown_before(Lines& lines) {
  std::set<std::pair<std::string, std::vector<std::string>>> shown;
  for (const RunResults& run : runs_) {
    for (auto at = lines.begin(); at != lines.end();) {
      const Line& line = at->second;
      const bool again = line.run == run.run && !line.first.timing &&
                         !shown.insert({at->first.second, line.stages}).second;
      at = again ? lines.erase(at) : std::next(at);
    }
  }
}

// A timing is a column of the tables. Where some of its lines are in none of them (their trials
// have no other figure, or not yet), it is a table instead: nothing that was measured is left
// out.
void BoardLines::add_timing_tables() {
  std::set<LineKey> shown;
  for (const auto& [key, lines] : tables_) {
    for (const auto& [line, unused] : lines) shown.insert(line);
  }
  std::set<TimingKey> as_tables;
  for (const auto& [key, lines] : timings_) {
    const bool all = std::all_of(lines.begin(), lines.end(),
                                 [&shown](const auto& line) { return shown.contains(line.first); });
    if (!all) as_tables.insert(key);
  }
  for (const RunResults& run : runs_) {
    for (const ResultRow& row : run.results) {
      if (row.is_primary && row.value && row.timing && as_tables.contains(timing_key_of(row)))
        add_figure(run, row);
    }
  }
  for (const TimingKey& key : as_tables) timings_.erase(key);
}

const std::set<std::string>& BoardLines::settings_of(const TableKey& key) const {
  return settings_.at({key.metric, key.name});
}

const std::set<std::string>& BoardLines::settings_of(const TimingKey& key) const {
  return settings_.at({kTiming, key.name});
}

}  // namespace assay::results
