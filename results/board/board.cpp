#include "results/board/board.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <tuple>

#include "results/board/board_lines.h"
#include "results/board/contents.h"
#include "results/board/ledger.h"
#include "results/board/quantization.h"
#include "results/store/fingerprint.h"

namespace assay::results {
namespace {

constexpr std::string_view kMeasured = "measured.";
constexpr std::string_view kMeasuredData = "measured.data.";

// "latency ms"; a name that ends with its unit (`latency_ms`) says it already.
std::string with_unit(const std::string& name, const std::string& unit) {
  return unit.empty() || name.ends_with("_" + unit) ? name : name + " " + unit;
}

int decimals_of(const std::string& unit) { return unit == "%" ? 2 : 3; }

// "context=64 stride=32" of those settings whose value is not the same in all `others`, and always
// "limit=50": a figure of a few samples must not pass for one of all.
std::string telling_settings(const std::string& settings, const std::set<std::string>& others) {
  const Json mine = Json::parse(settings, nullptr, false);
  if (!mine.is_object()) return "";
  std::string text;
  for (const auto& [name, value] : mine.items()) {
    // The title names data and split; notes below the table say what was passed over.
    if (name == "data" || name == "split" || name == "passed_over") continue;
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

class BoardMaker {
 public:
  BoardMaker(const std::vector<RunResults>& runs, const BoardOptions& options)
      : runs_(runs), options_(options), lines_(runs, options.each_seed) {
    for (const RunResults& run : runs) {
      for (const TrialSummary& trial : run.trials) chosen_.emplace(trial.id, trial.chosen);
    }
  }

  std::vector<Table> tables() const {
    std::vector<Table> out;
    for (const auto& [key, lines] : lines_.tables()) {
      std::set<Quantization> protocols;
      for (const auto& [repeats, line] : lines) protocols.insert(quantization_of(line.first));
      for (const Quantization& protocol : tables_for(protocols)) {
        out.push_back(table_of(key, fitting(lines, protocol), protocol));
      }
    }
    return out;
  }

 private:
  std::vector<const Line*> sorted(const Lines& lines) const {
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
    const std::string telling = telling_settings(key.settings, lines_.settings_of(key));
    if (!telling.empty()) title += ", " + telling;
    const std::string measured = telling_protocol(key);
    if (!measured.empty()) title += ", " + measured;
    return title + fmt::format(", {} is better{}, protocol {}",
                               row.higher_is_better ? "higher" : "lower",
                               models > 1 ? ", ranked within each model" : "",
                               key.fingerprint.substr(0, 8));
  }

  // "dtype=F64" of a table whose settings others share: what else their protocols measured.
  std::string telling_protocol(const TableKey& key) const {
    const auto mine = flattened(protocol_of(key.fingerprint));
    std::set<std::string> names;
    for (const auto& [other, unused] : lines_.tables()) {
      if (other.metric != key.metric || other.name != key.name || other.data != key.data ||
          other.split != key.split || other.settings != key.settings) {
        continue;
      }
      for (const auto& [name, value] : flattened(protocol_of(other.fingerprint))) {
        const auto own = mine.find(name);
        const bool tells = name.starts_with(kMeasured) && !name.starts_with(kMeasuredData);
        if (tells && own != mine.end() && own->second != value) names.insert(name);
      }
    }
    std::string text;
    for (const std::string& name : names) {
      text += fmt::format("{}{}={}", text.empty() ? "" : " ", name.substr(kMeasured.size()),
                          mine.at(name));
    }
    return text;
  }

  // Fields of a fingerprint; null if no run knows them.
  Json protocol_of(const std::string& fingerprint) const {
    for (const RunResults& run : runs_) {
      const auto found = run.protocols.find(fingerprint);
      if (found != run.protocols.end() && found->second.is_object()) return found->second;
    }
    return {};
  }

  std::string timing_title(const TimingKey& key) const {
    std::string title = with_unit(key.name, key.unit);
    if (const std::string pass = pass_of(key.fingerprint); !pass.empty()) title += ", " + pass;
    const std::string telling = telling_settings(key.settings, lines_.settings_of(key));
    if (!telling.empty()) title += " " + telling;
    const auto same =
        std::count_if(lines_.timings().begin(), lines_.timings().end(), [&](const auto& other) {
          return other.first.name == key.name && other.first.settings == key.settings;
        });
    return same > 1 ? title + " " + key.fingerprint.substr(0, 8) : title;
  }

  // What was timed, as the stage that timed it says: "fake-quantized float32".
  std::string pass_of(const std::string& fingerprint) const {
    const Json protocol = protocol_of(fingerprint);
    const Json measured = protocol.is_object() ? protocol.value("measured", Json()) : Json();
    const Json pass = measured.is_object() ? measured.value("pass", Json()) : Json();
    return pass.is_string() ? pass.get<std::string>() : "";
  }

  std::vector<TimingKey> timing_columns(const Lines& lines) const {
    std::vector<TimingKey> columns;
    for (const auto& [key, values] : lines_.timings()) {
      if (std::any_of(lines.begin(), lines.end(),
                      [&values = values](const auto& l) { return values.contains(l.first); })) {
        columns.push_back(key);
      }
    }
    return columns;
  }

  static Lines fitting(const Lines& lines, const Quantization& protocol) {
    Lines some;
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

  Table table_of(const TableKey& key, const Lines& lines, const Quantization& protocol) const {
    const ResultRow& row = lines.begin()->second.first;
    std::vector<const ResultRow*> shown;
    std::set<std::string> models;
    NetworkColumns::Rows trials;
    for (const auto& [repeats, line] : lines) {
      shown.push_back(&line.first);
      models.insert(line.first.model);
      trials.emplace_back(line.run, line.trials.front());
    }
    const Extras extras{.of_network = lines_.network().names(trials),
                        .timings = row.timing ? std::vector<TimingKey>() : timing_columns(lines),
                        .vs_float = std::any_of(lines.begin(), lines.end(), [&](const auto& each) {
                          return lines_.float_of(key, each.second).has_value();
                        })};
    const std::map<std::string, std::string> parameters = distinguishing_parameters(shown, chosen_);
    const std::string quantized = quantization_text(protocol);
    Table table{.title = title_of(key, row, models.size()) +
                         (quantized.empty() ? "" : ", quantized: " + quantized),
                .columns = {{"#", true}, {"model"}, {"method"}, {"bits"}}};
    if (runs_.size() > 1) table.columns.insert(table.columns.begin() + 1, {"run"});
    table.grouped_by = runs_.size() > 1 ? 2 : 1;
    table.columns.push_back({with_unit(key.name, row.unit), true});
    table.columns.push_back({"std", true});
    table.columns.push_back({"n", true});
    if (extras.vs_float) table.columns.push_back({"vs float", true});
    for (const std::string& name : extras.of_network)
      table.columns.push_back(lines_.network().column(name));
    for (const TimingKey& timing : extras.timings)
      table.columns.push_back({timing_title(timing), true});
    table.columns.push_back({"cost s", true});
    table.columns.push_back({"trial"});
    int place = 0, rank = 0;  // lines of one value share the rank of the first
    const Line* before = nullptr;
    for (const Line* line : sorted(lines)) {
      const bool same_model = before != nullptr && before->first.model == line->first.model;
      place = same_model ? place + 1 : 1;
      const bool ties =
          same_model && spread_of(before->values).mean == spread_of(line->values).mean;
      if (!ties) rank = place;
      before = line;
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
      const std::optional<double> base = lines_.float_of(key, line);
      cells.push_back(base ? signed_cell(spread.mean, *base, decimals) : empty_cell());
    }
    for (const std::string& name : extras.of_network) {
      cells.push_back(lines_.network().cell(name, line.run, line.trials.front()));
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

  static Cell signed_cell(double value, double base, int decimals) {
    Cell cell = difference_cell(value - base, std::max(std::abs(value), std::abs(base)), decimals);
    if (!cell.text.starts_with('-')) cell.text = "+" + cell.text;
    return cell;
  }

  Cell timing_cell(const TimingKey& timing, const Line& line) const {
    const std::string repeats =
        options_.each_seed ? line.first.trial : repeat_key(line.first.identity);
    const auto& values = lines_.timings().at(timing);
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
  BoardLines lines_;
};

}  // namespace

std::vector<Table> board(const std::vector<RunResults>& runs, const BoardOptions& options) {
  std::vector<Table> tables = BoardMaker(runs, options).tables();
  if (tables.empty()) tables.push_back({.title = "no results yet", .columns = {{"run"}}});
  for (const RunResults& run : runs) {
    for (std::string& note : run_notes(run)) tables.back().notes.push_back(std::move(note));
  }
  return tables;
}

}  // namespace assay::results
