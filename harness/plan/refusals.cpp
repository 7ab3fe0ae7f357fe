#include "harness/plan/refusals.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <tuple>


namespace assay::plan {
namespace {

// Where a mistake stands in the sweep, what it says and whom it concerns.
struct Mistake {
  std::tuple<std::string, int, int, std::string> order;  // file, line, column, message
  std::string text;
  std::string trial;  // label of the first
  std::size_t trials = 0;
  bool names_trials = false;
};

class Judge {
 public:
  Judge(const spec::Sweep& sweep, const Plan& plan, const PlanQuestions& asked,
        const std::vector<Answer>& answers, bool skip)
      : sweep_(sweep), plan_(plan), asked_(asked), answers_(answers), skip_(skip) {}

  Judgement judge() {
    Judgement judgement;
    for (const PlannedTrial& trial : plan_.trials) {
      const std::string reason = weigh(trial);
      judgement.dropped.push_back(!reason.empty());
      if (!reason.empty()) judgement.impossible.push_back({trial.id, trial.label, reason});
    }
    std::vector<const Mistake*> sorted;
    for (const auto& [text, mistake] : mistakes_) sorted.push_back(&mistake);
    std::sort(sorted.begin(), sorted.end(),
              [](const Mistake* a, const Mistake* b) { return a->order < b->order; });
    for (const Mistake* mistake : sorted) judgement.mistakes.push_back(shown(*mistake));
    return judgement;
  }

 private:
  // Notes the refusals of a trial's stages; the first about its method where those are skipped.
  std::string weigh(const PlannedTrial& trial) {
    std::string reason;
    std::vector<std::string> counted;  // each mistake once a trial
    for (const std::size_t index : trial.stages) {
      for (const Refusal& refusal : answers_[asked_.of_stage[index]].refusals) {
        if (skip_ && refusal.about == "method") {
          if (reason.empty()) reason = refusal.message;
          continue;
        }
        const std::string text = note(trial, plan_.stages[index], refusal);
        if (std::find(counted.begin(), counted.end(), text) != counted.end()) continue;
        ++mistakes_[text].trials;
        counted.push_back(text);
      }
    }
    return reason;
  }

  std::string note(const PlannedTrial& trial, const Stage& stage, const Refusal& refusal) {
    const SweepEntries entries = entries_of(trial, stage, refusal.about);
    const spec::Place& place = place_of(trial, entries, refusal.about);
    std::string text =
        fmt::format("{}: {}{}", place.text(), owner_of(entries, refusal.about), refusal.message);
    const auto [found, fresh] = mistakes_.try_emplace(text);
    if (fresh) {
      found->second = {{place.file == nullptr ? "" : *place.file, place.line, place.column, text},
                       text,
                       trial.label,
                       0,
                       refusal.about == "method" || refusal.about == "metric"};
    }
    return text;
  }

  // The entries that a refusal may be about: the stage's own, and the data that it only knows
  // through its inputs (an evaluation takes tokens, not a text).
  SweepEntries entries_of(const PlannedTrial& trial, const Stage& stage,
                          const std::string& about) const {
    SweepEntries entries = stage.entries;
    if (about != "data" || entries.data >= 0) return entries;
    for (const StageInput& input : stage.inputs) {
      for (const std::size_t index : trial.stages) {
        const Stage& maker = plan_.stages[index];
        if (!(maker.key == input.key)) continue;
        entries.data = entries_of(trial, maker, about).data;
        if (entries.data >= 0) return entries;
      }
    }
    return entries;
  }

  const spec::Place& place_of(const PlannedTrial& trial, const SweepEntries& entries,
                              const std::string& about) const {
    if (about == "run") return sweep_.run_place;
    if (about == "model" && entries.model >= 0) return at(sweep_.models, entries.model).place;
    if (about == "data" && entries.data >= 0) return at(sweep_.data, entries.data).place;
    if (about != "method" && entries.evaluation >= 0) {
      return at(sweep_.evaluations, entries.evaluation).place;
    }
    return sweep_.trials.at(trial.of_sweep).place;
  }

  std::string owner_of(const SweepEntries& entries, const std::string& about) const {
    if (about == "model" && entries.model >= 0) {
      return fmt::format("model '{}': ", at(sweep_.models, entries.model).name);
    }
    if (about == "data" && entries.data >= 0) {
      return fmt::format("data '{}': ", at(sweep_.data, entries.data).name);
    }
    if (about == "metric" && entries.evaluation >= 0) {
      return fmt::format("metric '{}': ", at(sweep_.evaluations, entries.evaluation).metric);
    }
    return "";
  }

  template <typename Entry>
  static const Entry& at(const std::vector<Entry>& entries, std::int32_t index) {
    return entries.at(static_cast<std::size_t>(index));
  }

  static std::string shown(const Mistake& mistake) {
    if (!mistake.names_trials) return mistake.text;
    return fmt::format("{} ({}{})", mistake.text, mistake.trial,
                       mistake.trials > 2 ? fmt::format(" and {} more trials", mistake.trials - 1)
                       : mistake.trials == 2 ? " and 1 more trial"
                                             : "");
  }

  const spec::Sweep& sweep_;
  const Plan& plan_;
  const PlanQuestions& asked_;
  const std::vector<Answer>& answers_;
  const bool skip_;
  std::map<std::string, Mistake> mistakes_;                // by text
};

}  // namespace

Judgement judge(const spec::Sweep& sweep, const Plan& plan, const PlanQuestions& asked,
                const std::vector<Answer>& answers, bool skip) {
  const bool clean = std::all_of(answers.begin(), answers.end(),
                                 [](const Answer& answer) { return answer.refusals.empty(); });
  if (clean) return {{}, std::vector<bool>(plan.trials.size(), false), {}};
  return Judge(sweep, plan, asked, answers, skip).judge();
}

std::string mistakes_text(const std::vector<std::string>& mistakes) {
  if (mistakes.size() == 1) return mistakes.front();
  return fmt::format("{} mistakes; nothing was run\n  {}", mistakes.size(),
                     fmt::join(mistakes, "\n  "));
}

}  // namespace assay::plan
