#include "results/board/compared_row.h"

#include <algorithm>

#include "results/board/rows.h"
#include "results/board/show.h"

namespace assay::results {
namespace {

// The seeds in an identity: {seed, calibration_seed}.
std::pair<Json, Json> seeds_of(const Json& identity) {
  const auto member = [&](const char* name) {
    return identity.is_object() ? identity.value(name, Json()) : Json();
  };
  return {member("seed"), member("calibration_seed")};
}

// "vit psaq_vit W4A8 seed=1 images=64" -> "vit psaq_vit W4A8 images=64"
std::string without_seeds(const std::string& label) {
  std::string text;
  for (std::size_t at = 0; at <= label.size();) {
    const std::size_t end = std::min(label.find(' ', at), label.size());
    const std::string word = label.substr(at, end - at);
    if (!word.starts_with("seed=") && !word.starts_with("calibration_seed=")) {
      text += (text.empty() ? "" : " ") + word;
    }
    at = end + 1;
  }
  return text;
}

// Trials that differ in more than their seeds are no repeats of each other, whatever their labels.
void check_repeats(const std::filesystem::path& file, const std::string& name,
                   const std::vector<TrialSummary>& trials) {
  const std::string key = repeat_key(trials.front().identity);
  for (const TrialSummary& trial : trials) {
    if (repeat_key(trial.identity) == key) continue;
    refuse_ambiguous(file, name, trials);
  }
}

}  // namespace

std::vector<std::pair<Json, Json>> ComparedRow::seeds() const {
  std::vector<std::pair<Json, Json>> all;
  for (const TrialSummary& trial : trials) all.push_back(seeds_of(trial.identity));
  return all;
}

bool is_label(Reader& reader, const std::string& name) {
  const std::vector<TrialSummary> trials = reader.trials();
  return std::any_of(trials.begin(), trials.end(), [&](const TrialSummary& trial) {
    return trial.label == name || same_words(without_seeds(trial.label), name);
  });
}

ComparedRow find_row(Reader& reader, const std::string& name) {
  ComparedRow row{.label = name, .trials = {}};
  bool whole = false;  // the label of one trial
  std::vector<TrialSummary> reordered;
  for (TrialSummary& trial : reader.trials()) {
    whole = whole || trial.id == name || trial.label == name;
    if (without_seeds(trial.label) == name) {
      row.trials.push_back(std::move(trial));
    } else if (same_words(without_seeds(trial.label), name)) {
      reordered.push_back(std::move(trial));
    }
  }
  if (row.trials.empty() && !whole) row.trials = std::move(reordered);
  if (whole || row.trials.empty()) {
    TrialSummary trial = find_trial(reader, name);
    return {trial.label, {trial}};
  }
  check_repeats(reader.path(), name, row.trials);
  std::sort(row.trials.begin(), row.trials.end(), [](const auto& a, const auto& b) {
    return seeds_of(a.identity) < seeds_of(b.identity);
  });
  return row;
}

}  // namespace assay::results
