#include "results/board/ledger.h"

#include <fmt/format.h>

#include <map>

namespace assay::results {
namespace {

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

std::vector<std::string> run_notes(const RunResults& run) {
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
  if (shown > 0) notes.emplace_back("  `assay run SWEEP --retry-failed` runs failed stages again");
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

}  // namespace assay::results
