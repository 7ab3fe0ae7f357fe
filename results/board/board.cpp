#include "results/board/board.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <tuple>

#include "harness/contract/catalogue.h"
#include "results/board/contents.h"
#include "results/board/network_columns.h"
#include "results/board/quantization.h"

namespace assay::results {
namespace {

struct Spread {
  double mean = 0;
  std::optional<double> deviation;  // sample standard deviation; nothing for one value
};

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

int decimals_of(const std::string& unit) { return unit == "%" ? 2 : 3; }

// "context=64 stride=32" of those settings whose value is not the same in all `others`, and always
// "limit=50": a figure of a few samples must not pass for one of all.
std::string telling_settings(const std::string& settings, const std::set<std::string>& others) {
  const Json mine = Json::parse(settings, nullptr, false);
  if (!mine.is_object()) return "";
  std::string text;
  for (const auto& [name, value] : mine.items()) {
    const bool same = std::all_of(others.begin(), others.end(), [&](const std::string& other) {
      const Json theirs = Json::parse(other, nullptr, false);
      return theirs.is_object() && theirs.contains(name) && theirs[name] == value;
    });
    const bool limits = name == "limit" && value.is_number_integer() && value != 0;
    if ((!same || limits) && !value.is_object())
      text += fmt::format("{}{}={}", text.empty() ? "" : " ", name, value.dump());
  }
  return text;
}

// What the data set of these settings holds besides what was measured, or "".
std::string passed_over_in(const std::string& settings) {
  const Json json = Json::parse(settings, nullptr, false);
  const auto found = json.is_object() ? json.find("passed_over") : json.end();
  return json.is_object() && found != json.end() && found->is_string() ? found->get<std::string>()
                                                                       : "";
}

// One line of a table: a trial, or its repeats.
struct Line {
  ResultRow first;  // its model and method as they are shown
  bool is_float = false;
  std::string run;
  std::vector<double> values;
  std::vector<std::string> trials;
  std::vector<std::string> stages;  // that the values come from
  double cost_s = 0;
};

using LineKey = std::pair<std::string, std::string>;  // run, repeats

struct TableKey {
  std::string metric, data, split, name, settings, fingerprint;
  auto operator<=>(const TableKey&) const = default;
};

TableKey key_of(const ResultRow& r) {
  return {r.metric, r.data, r.split, r.name, r.settings, r.fingerprint};
}

// A timing as a column: name, unit and what it was measured under.
struct TimingKey {
  std::string name, unit, settings, fingerprint;
  auto operator<=>(const TimingKey&) const = default;
};

TimingKey timing_key_of(const ResultRow& r) { return {r.name, r.unit, r.settings, r.fingerprint}; }

class BoardMaker {
 public:
  BoardMaker(const std::vector<RunResults>& runs, const BoardOptions& options)
      : runs_(runs), options_(options) {
    for (const RunResults& run : runs) {
      for (const ResultRow& row : run.results) contents_.note(row);
    }
    for (const RunResults& run : runs) {
      add_costs(run);
      for (const TrialSummary& trial : run.trials) chosen_.emplace(trial.id, trial.chosen);
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
    note_floats();
    for (auto& [key, lines] : tables_) remove_shown_before(lines);
    add_timing_tables();
    note_floats();
  }

  std::vector<Table> tables() const {
    std::vector<Table> out;
    for (const auto& [key, lines] : tables_) {
      std::set<Quantization> protocols;
      for (const auto& [repeats, line] : lines) protocols.insert(quantization_of(line.first));
      for (const Quantization& protocol : tables_for(protocols)) {
        out.push_back(table_of(key, fitting(lines, protocol), protocol));
      }
    }
    return out;
  }

 private:
  LineKey line_key(const RunResults& run, const ResultRow& row) const {
    return {run.run, options_.each_seed ? row.trial : repeat_key(row.identity)};
  }

  void add_costs(const RunResults& run) {
    for (const CostRow& row : run.cost) costs_[{run.run, row.trial}] += row.worth_s;
  }

  void add_figure(const RunResults& run, const ResultRow& row) {
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

  void add_timing(const RunResults& run, const ResultRow& row) {
    timings_[timing_key_of(row)][line_key(run, row)].push_back(*row.value);
    settings_[{"timing", row.name}].insert(row.settings);
  }

  void note_floats() {
    for (const auto& [key, lines] : tables_) {
      for (const auto& [unused, line] : lines) {
        if (line.is_float)
          floats_[key].emplace(std::pair(line.run, line.first.model), spread_of(line.values).mean);
      }
    }
  }

  // What `line` is compared with: the float row of its model, of another run only where its own has
  // none and the figure is no matter of the host.
  std::optional<double> float_of(const TableKey& key, const Line& line) const {
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
  void remove_shown_before(std::map<LineKey, Line>& lines) {
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
  void add_timing_tables() {
    std::set<LineKey> shown;
    for (const auto& [key, lines] : tables_) {
      for (const auto& [line, unused] : lines) shown.insert(line);
    }
    std::set<TimingKey> as_tables;
    for (const auto& [key, lines] : timings_) {
      const bool all = std::all_of(lines.begin(), lines.end(), [&shown](const auto& line) {
        return shown.contains(line.first);
      });
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

  std::vector<const Line*> sorted(const std::map<LineKey, Line>& lines) const {
    std::vector<const Line*> order;
    for (const auto& [key, line] : lines) order.push_back(&line);
    std::stable_sort(order.begin(), order.end(), [](const Line* a, const Line* b) {
      if (a->first.model != b->first.model) return a->first.model < b->first.model;
      const double x = spread_of(a->values).mean, y = spread_of(b->values).mean;
      if (x != y) return a->first.higher_is_better ? x > y : x < y;
      return std::tie(a->first.method, a->first.bits, a->trials) <
             std::tie(b->first.method, b->first.bits, b->trials);
    });
    return order;
  }

  std::string title_of(const TableKey& key, const ResultRow& row, std::size_t models) const {
    std::string title =
        fmt::format("{}{}", key.name, row.unit.empty() ? "" : " (" + row.unit + ")");
    if (key.name != key.metric) title += " of " + key.metric;
    if (row.timing) {
      if (const std::string pass = pass_of(key.fingerprint); !pass.empty()) title += ", " + pass;
    }
    if (!key.data.empty()) title += fmt::format(" on {}/{}", key.data, key.split);
    const std::string telling =
        telling_settings(key.settings, settings_.at({key.metric, key.name}));
    if (!telling.empty()) title += ", " + telling;
    return title + fmt::format(", {} is better{}, protocol {}",
                               row.higher_is_better ? "higher" : "lower",
                               models > 1 ? ", ranked within each model" : "",
                               key.fingerprint.substr(0, 8));
  }

  std::string timing_title(const TimingKey& key) const {
    std::string title = key.unit.empty() ? key.name : key.name + " " + key.unit;
    if (const std::string pass = pass_of(key.fingerprint); !pass.empty()) title += ", " + pass;
    const std::string telling = telling_settings(key.settings, settings_.at({"timing", key.name}));
    if (!telling.empty()) title += " " + telling;
    const auto same = std::count_if(timings_.begin(), timings_.end(), [&](const auto& other) {
      return other.first.name == key.name && other.first.settings == key.settings;
    });
    return same > 1 ? title + " " + key.fingerprint.substr(0, 8) : title;
  }

  // What was timed, as the stage that timed it says: "fake-quantized float32".
  std::string pass_of(const std::string& fingerprint) const {
    for (const RunResults& run : runs_) {
      const auto found = run.timing_protocols.find(fingerprint);
      if (found == run.timing_protocols.end() || !found->second.is_object()) continue;
      const Json measured = found->second.value("measured", Json());
      const Json pass = measured.is_object() ? measured.value("pass", Json()) : Json();
      return pass.is_string() ? pass.get<std::string>() : "";
    }
    return "";
  }

  std::vector<TimingKey> timing_columns(const std::map<LineKey, Line>& lines) const {
    std::vector<TimingKey> columns;
    for (const auto& [key, values] : timings_) {
      if (std::any_of(lines.begin(), lines.end(),
                      [&values = values](const auto& l) { return values.contains(l.first); })) {
        columns.push_back(key);
      }
    }
    return columns;
  }

  static std::map<LineKey, Line> fitting(const std::map<LineKey, Line>& lines,
                                         const Quantization& protocol) {
    std::map<LineKey, Line> some;
    for (const auto& [repeats, line] : lines) {
      if (fits(quantization_of(line.first), protocol)) some.emplace(repeats, line);
    }
    return some;
  }

  // The columns that not every table has.
  struct Extras {
    std::vector<std::string> of_network;
    std::vector<TimingKey> timings;
    bool vs_float = false;
  };

  Table table_of(const TableKey& key, const std::map<LineKey, Line>& lines,
                 const Quantization& protocol) const {
    const ResultRow& row = lines.begin()->second.first;
    std::vector<const ResultRow*> shown;
    std::set<std::string> models;
    NetworkColumns::Rows trials;
    for (const auto& [repeats, line] : lines) {
      shown.push_back(&line.first);
      models.insert(line.first.model);
      trials.emplace_back(line.run, line.trials.front());
    }
    const Extras extras{.of_network = network_.names(trials),
                        .timings = row.timing ? std::vector<TimingKey>() : timing_columns(lines),
                        .vs_float = std::any_of(lines.begin(), lines.end(), [&](const auto& each) {
                          return float_of(key, each.second).has_value();
                        })};
    const std::map<std::string, std::string> parameters = distinguishing_parameters(shown, chosen_);
    const std::string quantized = quantization_text(protocol);
    Table table{.title = title_of(key, row, models.size()) +
                         (quantized.empty() ? "" : ", quantized: " + quantized),
                .columns = {{"#", true}, {"model"}, {"method"}, {"bits"}}};
    if (runs_.size() > 1) table.columns.insert(table.columns.begin() + 1, {"run"});
    table.grouped_by = runs_.size() > 1 ? 2 : 1;
    table.columns.push_back({row.unit.empty() ? key.name : key.name + " " + row.unit, true});
    table.columns.push_back({"std", true});
    table.columns.push_back({"n", true});
    if (extras.vs_float) table.columns.push_back({"vs float", true});
    for (const std::string& name : extras.of_network)
      table.columns.push_back(network_.column(name));
    for (const TimingKey& timing : extras.timings)
      table.columns.push_back({timing_title(timing), true});
    table.columns.push_back({"cost s", true});
    table.columns.push_back({"trial"});
    int rank = 0;
    std::string model;
    for (const Line* line : sorted(lines)) {
      rank = line->first.model == model ? rank + 1 : 1;
      model = line->first.model;
      table.rows.push_back(cells_of(key, *line, rank, parameters.at(line->first.trial), extras));
    }
    if (const std::string passed = passed_over_in(key.settings); !passed.empty()) {
      table.notes.push_back(fmt::format("{}/{}: passed over {}", key.data, key.split, passed));
    }
    return table;
  }

  std::vector<Cell> cells_of(const TableKey& key, const Line& line, int rank,
                             const std::string& parameters, const Extras& extras) const {
    const Spread spread = spread_of(line.values);
    const int decimals = decimals_of(line.first.unit);
    std::vector<Cell> cells = {count_cell(rank)};
    if (runs_.size() > 1) cells.push_back(text_cell(line.run));
    cells.push_back(text_cell(line.first.model));
    std::string method = line.first.method;
    if (!parameters.empty()) method += " " + parameters;
    if (options_.each_seed) {
      if (const std::string seeds = seeds_text(line.first.identity); !seeds.empty()) {
        method += " " + seeds;
      }
    }
    cells.push_back(text_cell(method));
    cells.push_back(text_cell(line.first.bits));
    cells.push_back(number_cell(spread.mean, decimals));
    cells.push_back(spread.deviation ? deviation_cell(*spread.deviation, decimals) : empty_cell());
    const auto n = static_cast<std::int64_t>(line.values.size());
    const bool repeats_bits = line.first.deterministic && !line.first.timing;
    cells.push_back(repeats_bits ? Cell{"deterministic", n} : count_cell(n));
    if (extras.vs_float) {
      const std::optional<double> base = float_of(key, line);
      cells.push_back(base ? signed_cell(spread.mean - *base, decimals) : empty_cell());
    }
    for (const std::string& name : extras.of_network) {
      cells.push_back(network_.cell(name, line.run, line.trials.front()));
    }
    for (const TimingKey& timing : extras.timings) cells.push_back(timing_cell(timing, line));
    cells.push_back(number_cell(line.cost_s, 2));
    cells.push_back(text_cell(line.trials.size() == 1 ? line.trials.front()
                                                      : fmt::format("{} +{}", line.trials.front(),
                                                                    line.trials.size() - 1)));
    return cells;
  }

  static Cell deviation_cell(double deviation, int decimals) {
    Cell cell = number_cell(deviation, decimals);
    cell.text = "\u00b1" + cell.text;
    return cell;
  }

  static Cell signed_cell(double value, int decimals) {
    return {fmt::format("{:+.{}f}", value, decimals), value};
  }

  Cell timing_cell(const TimingKey& timing, const Line& line) const {
    const std::string repeats =
        options_.each_seed ? line.first.trial : repeat_key(line.first.identity);
    const auto& values = timings_.at(timing);
    const auto found = values.find({line.run, repeats});
    if (found == values.end()) return empty_cell();
    Cell cell = number_cell(spread_of(found->second).mean, 3);
    // Not all repeats of the row were timed.
    if (found->second.size() != line.values.size())
      cell.text += fmt::format(" (n {})", found->second.size());
    // A number would be taken for one of all repeats.
    if (found->second.size() != line.values.size()) cell.value = cell.text;
    return cell;
  }

  const std::vector<RunResults>& runs_;
  const BoardOptions& options_;
  std::map<std::string, Json> chosen_;  // by trial: parameters off their defaults
  Contents contents_;
  std::map<std::pair<std::string, std::string>, double> costs_;  // by run, trial
  std::map<TableKey, std::map<std::pair<std::string, std::string>, double>> floats_;  // run, model
  std::map<TableKey, std::map<LineKey, Line>> tables_;
  std::map<TimingKey, std::map<LineKey, std::vector<double>>> timings_;
  NetworkColumns network_;
  std::map<std::pair<std::string, std::string>, std::set<std::string>> settings_;
};

std::string state_note(const RunResults& run) {
  std::map<std::string, int> states;
  for (const TrialSummary& trial : run.trials) ++states[trial.state];
  std::string note = fmt::format("{}: {} {}", run.run, run.trials.size(),
                                 run.trials.size() == 1 ? "trial" : "trials");
  for (const char* state : {"done", "failed", "blocked", "pending"}) {
    if (states[state] > 0) note += fmt::format(", {} {}", states[state], state);
  }
  return note;
}

std::vector<std::string> notes_of(const RunResults& run) {
  constexpr std::size_t kMaxShown = 10;
  std::vector<std::string> notes = {state_note(run)};
  std::size_t shown = 0;
  for (const TrialSummary& trial : run.trials) {
    if (trial.state != "failed" && trial.state != "blocked") continue;
    if (++shown > kMaxShown) break;
    // Its rows, if it has any, are of the stages that are done.
    notes.push_back(fmt::format("  {} {} ({} of {} stages done): assay show {}", trial.state,
                                trial.label, trial.done, trial.stages, trial.id));
  }
  for (std::size_t i = 0; i < run.notes.size() && i < kMaxShown; ++i) {
    const NoteRow& row = run.notes[i];
    notes.push_back(fmt::format("  note ({} {}): {}", row.trials,
                                row.trials == 1 ? "trial" : "trials", row.note));
  }
  const Ledger l = ledger_of(run.stages);
  notes.push_back(
      fmt::format("  cost: {} executions, {:.2f} s here ({:.2f} s for these trials); stages worth "
                  "{:.2f} s in all",
                  l.executions, l.paid_s, l.attributed_s, l.worth_s));
  notes.push_back(
      fmt::format("  saved: {} executions shared between trials ({:.2f} s), {} stages from the "
                  "store ({:.2f} s)",
                  l.avoided, l.saved_s, l.reused, l.reused_s));
  return notes;
}

}  // namespace

Ledger ledger_of(const std::vector<StageCostRow>& stages) {
  Ledger ledger;
  for (const StageCostRow& stage : stages) {
    ledger.executions += stage.executions;
    ledger.paid_s += stage.paid_s;
    if (stage.trials == 0) continue;
    ledger.attributed_s += stage.paid_s;
    ledger.worth_s += stage.worth_s;
    if (stage.state != "done") continue;
    ledger.avoided += stage.trials - 1;
    ledger.saved_s += (stage.trials - 1) * stage.worth_s;
    if (!stage.reused) continue;
    ledger.reused += 1;
    ledger.reused_s += stage.worth_s;
  }
  return ledger;
}

std::vector<Table> board(const std::vector<RunResults>& runs, const BoardOptions& options) {
  std::vector<Table> tables = BoardMaker(runs, options).tables();
  if (tables.empty()) tables.push_back({.title = "no results yet", .columns = {{"run"}}});
  for (const RunResults& run : runs) {
    for (std::string& note : notes_of(run)) tables.back().notes.push_back(std::move(note));
  }
  return tables;
}

}  // namespace assay::results
