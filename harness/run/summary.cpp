#include "harness/run/summary.h"

#include "harness/base/say.h"

namespace assay::run {

std::string failure_line(const RunStatus::Failure& failure,
                         const std::filesystem::path& run_folder) {
  const std::string log = failure.log.empty() ? "" : "; log " + (run_folder / failure.log).string();
  return harmless(
      fmt::format("failed: {} ({}): {}{}", failure.stage, failure.kind, failure.message, log));
}

void say_summary(const RunStatus& status, const schedule::Finish& finish,
                 const std::filesystem::path& run_folder, bool forced) {
  for (const auto& failure : status.failures) say("{}\n", failure_line(failure, run_folder));
  std::string text =
      fmt::format("{}: {} of {} trials done", status.run, status.trials_done, status.trials_total);
  if (status.trials_failed > 0) text += fmt::format(", {} failed", status.trials_failed);
  text += fmt::format("; {} stages run, {} found in the store", status.stages_done,
                      status.stages_reused);
  if (status.stages_failed > 0) text += fmt::format(", {} failed", status.stages_failed);
  if (status.stages_blocked > 0) text += fmt::format(", {} blocked", status.stages_blocked);
  text += fmt::format("; {}; {}", duration_text(status.updated_unix_s - status.started_unix_s),
                      run_folder.string());
  say("{}\n", harmless(text));
  if (!finish.message.empty()) say("stopped: {}\n", harmless(finish.message));
  if (finish.outcome == schedule::Outcome::kStopped) {
    say("the same command goes on from here{}\n",
        forced ? ", without --force: that would start its stages anew" : "");
  }
}

}  // namespace assay::run
