#include "harness/app/run_load.h"

#include <spdlog/spdlog.h>

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
  loaded.plan = plan::make_plan(loaded.sweep, loaded.providers.catalogues(), digests,
                                {.share = request.share, .limit = request.limit});
  if (!request.only.empty()) loaded.plan = plan::filter_trials(loaded.plan, request.only);
  return loaded;
}

}  // namespace assay::app
