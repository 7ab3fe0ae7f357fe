#include "results/board/show.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "harness/base/error.h"
#include "harness/base/suggest.h"
#include "results/board/provenance.h"
#include "results/board/quantization.h"
#include "results/board/rows.h"
#include "results/board/series.h"
#include "results/board/tensors.h"

namespace assay::results {
namespace {

constexpr std::size_t kMinPrefix = 4;

Table facts(Reader& reader, const TrialSummary& trial) {
  Table table{.title = trial.label, .columns = {{"fact"}, {"value"}}};
  const auto add = [&](const char* name, const std::string& value) {
    table.rows.push_back({text_cell(name), text_cell(value)});
  };
  add("trial", trial.id);
  add("state", fmt::format("{} ({} of {} stages done)", trial.state, trial.done, trial.stages));
  add("model", trial.model);
  add("method", trial.method);
  if (!trial.bits.empty()) add("bits", trial.bits);
  for (const auto& [name, value] : parameters_of(trial.identity)) {
    table.rows.push_back({text_cell(name), text_cell(value)});
  }
  for (const char* seed : {"seed", "calibration_seed"}) {
    if (trial.identity.contains(seed)) add(seed, trial.identity[seed].dump());
  }
  if (const auto start = reader.last_start()) {
    add("assay", start->assay_version + (start->git_commit.empty() ? "" : " " + start->git_commit) +
                     (start->dirty ? " (with local changes)" : ""));
    add("host", start->host);
    add("run as", start->command_line);
    const Json limit = start->options.is_object() ? start->options.value("limit", Json()) : Json();
    add("repeat alone", fmt::format("assay run SWEEP --only \"id == '{}'\"{}", trial.id,
                                    limit.is_number() ? " --limit " + limit.dump() : ""));
  }
  return table;
}

// What is quantized, in words, where the network's stage said so.
void add_quantization(const std::vector<ResultRow>& rows, bool known, Table& table) {
  if (rows.empty() || !known) return;
  const ResultRow& row = rows.front();
  const std::string text = quantization_text(quantization_of(row));
  if (!text.empty()) table.rows.push_back({text_cell("quantized"), text_cell(text)});
  const std::string names = float_layers_text(row.quantization);
  if (!names.empty()) table.rows.push_back({text_cell("float layers"), text_cell(names)});
}

Table figures(const std::vector<ResultRow>& rows) {
  Table table{
      .title = "Figures",
      .columns = {{"metric"}, {"data"}, {"value"}, {"", true}, {"unit"}, {"state"}, {"protocol"}}};
  table.columns[3].name = "figure";
  for (const ResultRow& row : rows) {
    const std::string where = row.data.empty() ? "" : row.data + "/" + row.split;
    table.rows.push_back(
        {text_cell(row.metric), text_cell(where), text_cell(row.name),
         row.value ? number_cell(*row.value, 4) : empty_cell(), text_cell(row.unit),
         text_cell(row.state), text_cell(row.fingerprint.substr(0, 8))});
  }
  return table;
}

// Each line of a note is one.
std::string in_one_line(std::string note) {
  for (std::size_t at = 0; (at = note.find('\n', at)) != std::string::npos; at += 2)
    note.replace(at, 1, "; ");
  return note;
}

Table stages(const std::vector<TrialStageSummary>& of_trial) {
  Table table{
      .title = "Stages",
      .columns = {
          {"stage"}, {"state"}, {"attempts", true}, {"s", true}, {"key"}, {"log"}, {"message"}}};
  for (const TrialStageSummary& stage : of_trial) {
    const std::string state =
        stage.reused && stage.state == "done" ? "done (from the store)" : stage.state;
    table.rows.push_back({text_cell(stage.label),
                          text_cell(state),
                          count_cell(stage.attempts),
                          stage.wall_s ? number_cell(*stage.wall_s, 2) : empty_cell(),
                          {stage.key.substr(0, 12), stage.key},
                          text_cell(stage.log_path),
                          text_cell(stage.kind.empty() ? stage.message + in_one_line(stage.note)
                                                       : stage.kind + ": " + stage.message)});
  }
  return table;
}

// A composition is one word: "a + b" is not "b + a".
std::multiset<std::string> words_of(const std::string& text) {
  std::istringstream words(text);
  std::vector<std::string> all;
  bool joins = false;  // the word before was a plus
  for (std::string word; words >> word; joins = word == "+") {
    if (!all.empty() && (joins || word == "+")) {
      all.back() += " " + word;
    } else {
      all.push_back(word);
    }
  }
  return {all.begin(), all.end()};
}

// Labels that hold every word of `name`: a board shows their parts in columns, in another order.
std::vector<std::string> with_words_of(const std::string& name,
                                       const std::vector<std::string>& labels) {
  const std::multiset<std::string> words = words_of(name);
  std::vector<std::string> found;
  for (const std::string& label : labels) {
    const std::multiset<std::string> parts = words_of(label);
    const bool all = std::all_of(words.begin(), words.end(),
                                 [&](const std::string& word) { return parts.contains(word); });
    if (all && !words.empty()) found.push_back(label);
  }
  std::sort(found.begin(), found.end());
  return found;
}

// What follows "no trial 'x'".
std::string hint_for(const std::string& name, const std::vector<std::string>& labels) {
  constexpr std::size_t kMaxListed = 20;
  const std::vector<std::string> similar = with_words_of(name, labels);
  if (!similar.empty() && similar.size() <= kMaxListed)
    return fmt::format("; did you mean '{}'?", fmt::join(similar, "' or '"));
  if (labels.size() <= kMaxListed) return suggestion(name, labels);
  const std::string near = nearest(name, labels);
  return near.empty() ? "" : "; did you mean '" + near + "'?";
}

}  // namespace

void refuse_ambiguous(const std::filesystem::path& file, const std::string& name,
                      const std::vector<TrialSummary>& trials) {
  std::string ids;
  for (const TrialSummary& trial : trials) ids += (ids.empty() ? "" : ", ") + trial.id;
  throw Error(ErrorKind::kConfig,
              fmt::format("{}: '{}' is the label of {} trials that are not repeats of one another; "
                          "name one by its id: {}",
                          file.string(), name, trials.size(), ids));
}

bool same_words(const std::string& label, const std::string& name) {
  return words_of(label) == words_of(name);
}

TrialSummary find_trial(Reader& reader, const std::string& name) {
  std::vector<TrialSummary> found, labelled, reordered;
  std::vector<std::string> legal;
  for (TrialSummary& trial : reader.trials()) {
    legal.push_back(trial.label);
    if (trial.id == name) return trial;
    if (trial.label == name) labelled.push_back(trial);
    if (same_words(trial.label, name)) reordered.push_back(trial);
    if (name.size() >= kMinPrefix && trial.id.starts_with(name)) found.push_back(std::move(trial));
  }
  if (labelled.size() == 1) return labelled.front();
  if (labelled.size() > 1) refuse_ambiguous(reader.path(), name, labelled);
  if (found.size() == 1) return found.front();
  if (found.empty() && reordered.size() == 1) return reordered.front();
  if (found.size() > 1) {
    throw Error(ErrorKind::kConfig,
                fmt::format("trial '{}' is not unique: {} trials begin with it; "
                            "give more digits",
                            name, found.size()));
  }
  throw Error(ErrorKind::kConfig, fmt::format("{}: no trial '{}'{}; `assay board` shows the ids",
                                              reader.path().string(), name, hint_for(name, legal)));
}

std::vector<Table> show(Reader& reader, const TrialSummary& trial, const ShowOptions& options) {
  std::vector<ResultRow> rows = reader.results();
  std::erase_if(rows, [&](const ResultRow& row) { return row.trial != trial.id; });
  const std::vector<TrialStageSummary> of_trial = reader.stages_of(trial.id);
  Table about = facts(reader, trial);
  const Json network = trial.network_stage ? reader.result(*trial.network_stage) : Json();
  add_quantization(rows, !trial.network_stage || !network.is_null(), about);
  std::vector<Table> tables{std::move(about), figures(rows), stages(of_trial)};
  if (Table series = series_table(of_trial); !series.rows.empty())
    tables.push_back(std::move(series));
  Table tensors = options.tensors ? tensor_table(network) : tensor_summary(network);
  if (!tensors.rows.empty()) tables.push_back(std::move(tensors));
  tables.push_back(inputs_table(of_trial));
  tables.push_back(protocols_table(reader, rows));
  return tables;
}

Table table_of(const QueryResult& result) {
  Table table;
  for (const std::string& name : result.columns) table.columns.push_back({name});
  for (const auto& row : result.rows) {
    auto& cells = table.rows.emplace_back();
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (row[i].is_number()) table.columns[i].numeric = true;
      const std::string text = row[i].is_null()           ? "-"
                               : row[i].is_string()       ? row[i].get<std::string>()
                               : row[i].is_number_float() ? exact_number(row[i].get<double>())
                                                          : row[i].dump();
      cells.push_back({text, row[i]});
    }
  }
  return table;
}

}  // namespace assay::results
