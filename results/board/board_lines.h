#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "results/board/contents.h"
#include "results/board/network_columns.h"
#include "results/board/rows.h"

namespace assay::results {

struct Spread {
  double mean = 0;
  std::optional<double> deviation;  // sample standard deviation; nothing for one value
};

// Of at least one value.
Spread spread_of(const std::vector<double>& values);

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

// The run, and what its repeats have in common (or, where each seed is a line, the trial).
using LineKey = std::pair<std::string, std::string>;
using Lines = std::map<LineKey, Line>;

// Figures that may stand in one table.
struct TableKey {
  std::string metric, data, split, name, settings, fingerprint;
  auto operator<=>(const TableKey&) const = default;
};

// A timing as a column: name, unit and what it was measured under.
struct TimingKey {
  std::string name, unit, settings, fingerprint;
  auto operator<=>(const TimingKey&) const = default;
};

// The results of runs, sorted into the lines of tables and into columns of timings.
class BoardLines {
 public:
  // `each_seed`: a line a trial instead of one for its repeats with other seeds.
  BoardLines(const std::vector<RunResults>& runs, bool each_seed);

  const std::map<TableKey, Lines>& tables() const { return tables_; }
  // Timings that are columns: by line, the values of its repeats.
  const std::map<TimingKey, std::map<LineKey, std::vector<double>>>& timings() const {
    return timings_;
  }
  const NetworkColumns& network() const { return network_; }

  // What `line` is compared with: the float row of its model, of another run only where its own has
  // none and the figure does not depend on the host.
  std::optional<double> float_of(const TableKey& key, const Line& line) const;
  // The settings under which a figure was measured anywhere; of a timing too.
  const std::set<std::string>& settings_of(const TableKey& key) const;
  const std::set<std::string>& settings_of(const TimingKey& key) const;

 private:
  LineKey line_key(const RunResults& run, const ResultRow& row) const;
  void add_run(const RunResults& run);
  void add_figure(const RunResults& run, const ResultRow& row);
  void add_timing(const RunResults& run, const ResultRow& row);
  void note_floats();
  void remove_shown_before(Lines& lines);
  void add_timing_tables();

  const std::vector<RunResults>& runs_;
  bool each_seed_;
  Contents contents_;
  std::map<std::pair<std::string, std::string>, double> costs_;  // by run, trial
  std::map<TableKey, std::map<std::pair<std::string, std::string>, double>> floats_;  // run, model
  std::map<TableKey, Lines> tables_;
  std::map<TimingKey, std::map<LineKey, std::vector<double>>> timings_;
  NetworkColumns network_;
  std::map<std::pair<std::string, std::string>, std::set<std::string>> settings_;
};

}  // namespace assay::results
