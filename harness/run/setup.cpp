#include "harness/run/setup.h"

#include <algorithm>
#include <cmath>

#include "harness/run/batch_job.h"
#include "harness/run/build_info.h"
#include "harness/supervise/host.h"

namespace assay::run {

schedule::Options coordinator_options(const LoadedSweep& loaded, const record::History& history,
                                      bool alone) {
  const spec::RunSettings& settings = loaded.sweep.run;
  schedule::Options options;
  options.retries = settings.retries;
  options.stage_wall_s = history.stage_wall_s;
  options.patience_s = alone ? 2 : 60;
  const std::optional<double> limit =
      settings.time_limit_s ? settings.time_limit_s : batch_job_remaining_s();
  if (limit) {
    options.time_limit_at_s = supervise::monotonic_seconds() + *limit;
    options.stop_grace_s = std::min(30.0, *limit / 10);
  }
  const auto& failures = settings.max_failures;
  if (failures.count) {
    options.max_causes = *failures.count;
  } else if (failures.fraction) {
    const double share = *failures.fraction * static_cast<double>(loaded.plan.trials.size());
    options.max_causes = std::max<std::int64_t>(1, static_cast<std::int64_t>(std::floor(share)));
  }
  return options;
}

supervise::Root root_of(const plan::Plan& plan, const RunFolder& folder,
                        const supervise::Store& store, bool partial, double lease_s) {
  supervise::Root root;
  root.run = folder.id();
  root.folder = folder.path();
  for (const plan::Stage& stage : plan.stages) root.keys.insert(stage.key);
  if (partial) {
    for (const supervise::Root& mine : store.roots()) {
      if (mine.run == root.run) root.keys.insert(mine.keys.begin(), mine.keys.end());
    }
  }
  root.lease_until_unix_s = supervise::unix_seconds() + lease_s;
  return root;
}

record::RunStart run_start(const RunRequest& request, const LoadedSweep& loaded) {
  record::RunStart start;
  start.unix_s = supervise::unix_seconds();
  start.assay_version = kBuildInfo.version;
  start.commit = kBuildInfo.commit;
  start.dirty = kBuildInfo.dirty;
  start.host = supervise::host_name();
  start.command_line = request.command_line;
  start.sweep_text = spec::resolved_text(loaded.sweep);
  start.options = {{"retry_failed", request.retry_failed},
                   {"force", request.force},
                   {"share", request.sweep.share},
                   {"only", request.sweep.only},
                   {"numerics", loaded.numerics},
                   {"limit", request.sweep.limit ? Json(*request.sweep.limit) : Json(nullptr)}};
  return start;
}

}  // namespace assay::run
