#include "harness/run/load_plan.h"

#include <algorithm>

#include "harness/base/error.h"
#include "harness/base/log.h"
#include "harness/plan/file_digests.h"
#include "harness/plan/planner.h"
#include "harness/run/numerics.h"

namespace assay::run {
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

supervise::Providers providers_of(const spec::SweepFile& file, plan::InputDigests& digests) {
  std::vector<std::vector<std::string>> foreign;
  for (const auto& provider : file.providers()) foreign.push_back(provider.command);
  const bool built_in = foreign.empty() || has_built_in();
  if (!built_in) log_warning("no assay-exec: only what the sweep's providers offer");
  return supervise::Providers::gather(
      foreign, built_in, supervise::catalogue_cache(),
      [&digests](const std::filesystem::path& path) { return digests.digest(path); });
}

LoadedSweep load_and_plan(const SweepRequest& request,
                          const std::vector<supervise::HostNumerics>& hosts) {
  LoadedSweep loaded;
  const spec::SweepFile file(request.file, request.overrides);
  plan::FileDigests digests(plan::digest_cache());
  loaded.providers = providers_of(file, digests);
  loaded.catalogue = joined(loaded.providers.catalogues());
  loaded.sweep = file.sweep(loaded.catalogue);
  loaded.numerics = settle_numerics(
      loaded.sweep.run, hosts.empty() ? std::vector{supervise::host_numerics()} : hosts);
  loaded.notes = loaded.sweep.notes;
  std::vector<std::string> mistakes;
  plan::PlanOptions options{.share = request.share, .limit = request.limit};
  options.on_refusal = [&](const Error& error) { note(error, mistakes); };
  options.on_note = [&](const std::string& text) { loaded.notes.push_back(text); };
  loaded.plan = plan::make_plan(loaded.sweep, loaded.providers.catalogues(), digests, options);
  // Among no trials there is none to choose.
  if (!request.only.empty() && !loaded.plan.trials.empty()) {
    loaded.plan = plan::filter_trials(loaded.plan, request.only);
  }
  loaded.facts = inspect_plan(loaded.sweep, loaded.providers, std::move(mistakes), loaded.plan,
                              inspection_cache());
  return loaded;
}

}  // namespace assay::run
