#include "harness/app/run_load.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "harness/core/error.h"
#include "harness/plan/file_digests.h"
#include "harness/plan/planner.h"

namespace assay::app {
namespace {

// A build without LibTorch has no executor of its own: then the sweep's providers are all there is.
bool has_built_in() {
  try {
    supervise::builtin_command();
    return true;
  } catch (const Error&) {
    return false;
  }
}

// Each mistake once: many trials rest on the one file that is missing.
void note(const Error& error, std::vector<std::string>& mistakes) {
  if (std::find(mistakes.begin(), mistakes.end(), error.what()) == mistakes.end()) {
    mistakes.emplace_back(error.what());
  }
}

}  // namespace

LoadedSweep load_and_plan(const SweepRequest& request) {
  LoadedSweep loaded;
  std::vector<std::vector<std::string>> foreign;
  const spec::SweepFile file(request.file, request.overrides);
  for (const auto& provider : file.providers()) {
    foreign.push_back(provider.command);
  }
  const bool built_in = foreign.empty() || has_built_in();
  if (!built_in) spdlog::warn("no assay-exec: only what the sweep's providers offer");
  loaded.providers = supervise::Providers::gather(foreign, built_in);
  loaded.catalogue = joined(loaded.providers.catalogues());
  loaded.sweep = file.sweep(loaded.catalogue);
  plan::FileDigests digests(plan::digest_cache());
  std::vector<std::string> mistakes;
  plan::PlanOptions options{.share = request.share, .limit = request.limit};
  options.on_refusal = [&](const Error& error) { note(error, mistakes); };
  loaded.plan = plan::make_plan(loaded.sweep, loaded.providers.catalogues(), digests, options);
  // Among no trials there is none to choose.
  if (!request.only.empty() && !loaded.plan.trials.empty()) {
    loaded.plan = plan::filter_trials(loaded.plan, request.only);
  }
  loaded.facts = inspect_plan(loaded.sweep, loaded.providers, std::move(mistakes), loaded.plan,
                              inspection_cache());
  return loaded;
}

}  // namespace assay::app
