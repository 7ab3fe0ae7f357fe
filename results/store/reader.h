#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/json.h"
#include "results/store/rows.h"

namespace assay::results {

// A figure of a current trial, as view `leaderboard` has it.
struct ResultRow {
  std::string trial;
  std::string label;
  std::string model;
  std::string family;
  std::string task;
  std::string method;
  std::string bits;
  bool deterministic = false;
  Json identity = Json::object();
  std::string metric;
  std::string data;
  std::string split;
  std::string settings;  // canonical JSON of the metric's settings
  std::string name;
  std::string unit;
  std::optional<double> value;
  bool higher_is_better = true;
  bool is_primary = false;
  std::string fingerprint;  // "" until measured
  std::string stage;        // key
  std::string state;        // of that stage: pending, done, failed, blocked
  std::string kind;         // of a failure
  bool timing = false;      // valid for the machine and run that measured it
  std::string samples;      // text_of the SampleValues that `value` follows from
  Json quantization;        // what the network's stage said that it quantized; null: nothing

  static void fields(auto& r, auto&& visit) {
    visit("trial", r.trial);
    visit("label", r.label);
    visit("model", r.model);
    visit("family", r.family);
    visit("task", r.task);
    visit("method", r.method);
    visit("bits", r.bits);
    visit("deterministic", r.deterministic);
    visit("identity", r.identity);
    visit("metric", r.metric);
    visit("data", r.data);
    visit("split", r.split);
    visit("settings", r.settings);
    visit("name", r.name);
    visit("unit", r.unit);
    visit("value", r.value);
    visit("higher_is_better", r.higher_is_better);
    visit("is_primary", r.is_primary);
    visit("fingerprint", r.fingerprint);
    visit("stage", r.stage);
    visit("state", r.state);
    visit("kind", r.kind);
    visit("timing", r.timing);
    visit("samples", r.samples);
    visit("quantization", r.quantization);
  }
};

// Share of a trial in a stage (view `cost`): the seconds spent in this run folder, and those that
// the execution is worth wherever it ran, divided by the trials that share it.
struct CostRow {
  std::string trial;
  std::string stage;
  std::string name;
  int shared_by = 1;
  double paid_s = 0;
  double worth_s = 0;

  static void fields(auto& r, auto&& visit) {
    visit("trial", r.trial);
    visit("stage", r.stage);
    visit("name", r.name);
    visit("shared_by", r.shared_by);
    visit("paid_s", r.paid_s);
    visit("worth_s", r.worth_s);
  }
};

// A stage with what it cost (view `stage_cost`).
struct StageCostRow {
  std::string stage;
  std::string name;
  std::string label;
  std::string state;
  bool reused = false;
  double worth_s = 0;
  int executions = 0;
  double paid_s = 0;
  int trials = 0;  // current trials that rest on it; 0: history

  static void fields(auto& r, auto&& visit) {
    visit("stage", r.stage);
    visit("name", r.name);
    visit("label", r.label);
    visit("state", r.state);
    visit("reused", r.reused);
    visit("worth_s", r.worth_s);
    visit("executions", r.executions);
    visit("paid_s", r.paid_s);
    visit("trials", r.trials);
  }
};

// A current trial and where it stands.
struct TrialSummary {
  std::string id;
  std::string label;
  std::string model;
  std::string method;
  std::string bits;
  bool deterministic = false;
  Json identity = Json::object();
  Json chosen = Json::object();  // parameter -> value, those off their defaults
  std::optional<std::string> network_stage;
  int stages = 0;
  int done = 0;
  std::string state;

  static void fields(auto& r, auto&& visit) {
    visit("id", r.id);
    visit("label", r.label);
    visit("model", r.model);
    visit("method", r.method);
    visit("bits", r.bits);
    visit("deterministic", r.deterministic);
    visit("identity", r.identity);
    visit("chosen", r.chosen);
    visit("network_stage", r.network_stage);
    visit("stages", r.stages);
    visit("done", r.done);
    visit("state", r.state);
  }
};

// What stages say beside the figures of current trials.
struct NoteRow {
  std::string note;
  std::size_t trials = 0;  // that rest on a stage which says so
};

// A stage of a trial as `show` and `logs` want it.
struct TrialStageSummary {
  std::string key;
  std::string name;
  std::string label;
  std::string state;
  std::string kind;
  std::string message;  // of a failure
  std::string note;     // of its result
  bool reused = false;
  Json recipe = Json::object();
  Json inputs = Json::object();
  std::optional<double> wall_s;
  std::string log_path;  // of its last attempt, relative to the run folder; "": none
  int attempts = 0;
  Json series = Json::object();  // of its result, by name (docs/formats/store.md)

  static void fields(auto& r, auto&& visit) {
    visit("key", r.key);
    visit("name", r.name);
    visit("label", r.label);
    visit("state", r.state);
    visit("kind", r.kind);
    visit("message", r.message);
    visit("note", r.note);
    visit("reused", r.reused);
    visit("recipe", r.recipe);
    visit("inputs", r.inputs);
    visit("wall_s", r.wall_s);
    visit("log_path", r.log_path);
    visit("attempts", r.attempts);
    visit("series", r.series);
  }
};

struct QueryResult {
  std::vector<std::string> columns;
  std::vector<std::vector<Json>> rows;  // null, integer, real or string; a blob as "x'...'"
};

// A results database opened so that nothing can change it. Throws Error(kConfig) if there is none,
// Error(kEnvironment) for a damaged, foreign or newer one. So do results() and result() if what is
// recorded of a stage is not what was published.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& path);
  ~Reader();
  Reader(Reader&&) noexcept;

  const std::filesystem::path& path() const;

  // Sorted by trial, metric, data, split, settings, name: the order of an export, which depends
  // neither on the sweep file nor on the run.
  std::vector<ResultRow> results();
  std::vector<CostRow> cost();              // by trial, stage
  std::vector<StageCostRow> stage_costs();  // by key
  std::vector<TrialSummary> trials();       // by id
  std::vector<NoteRow> notes();             // the most frequent first
  std::vector<TrialStageSummary> stages_of(const std::string& trial);
  std::optional<SweepRow> last_start();
  Json protocol(const std::string& fingerprint);  // its fields; null if unknown
  Json result(const std::string& stage);          // of one that is done; else null

  // One SELECT of the user. Throws Error(kConfig) for anything that is malformed, writes, holds
  // several statements, or gives more than `max_rows`.
  QueryResult query(const std::string& sql, std::size_t max_rows = 1'000'000);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay::results
