// What the supervisor costs for a stage that does nothing: supervise_bench [stages] [slots]
// [queue]. Compare with as many tasks of GNU parallel: seq 2000 | parallel -j2 --joblog FILE true

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "harness/base/digest.h"
#include "harness/supervise/host.h"
#include "harness/supervise/supervisor.h"
#include "tests/support/temporary_folder.h"

int main(int argc, char** argv) {
  using namespace assay::supervise;
  const int stages = argc > 1 ? std::atoi(argv[1]) : 2000;
  const int slots = argc > 2 ? std::atoi(argv[2]) : 2;
  const std::size_t depth = argc > 3 ? static_cast<std::size_t>(std::atoi(argv[3])) : 2;
  const TemporaryFolder folder;
  Store store(folder.path() / "store");
  SupervisorOptions options;
  options.providers["echo"] = {ECHO_PROVIDER};
  options.logs = folder.path() / "logs";
  for (int i = 0; i < slots; ++i) options.slots.push_back({fmt::format("bench/0.{}", i), {}});
  Supervisor supervisor(store, options);
  const double start = monotonic_seconds();
  int next = 0;
  int done = 0;
  int polls = 0;
  while (done < stages) {
    for (std::size_t slot = 0; slot < supervisor.slots(); ++slot) {
      while (next < stages && supervisor.queued(slot) < depth) {
        Assignment assignment;
        assignment.stage.name = "echo.value";
        assignment.stage.recipe = assay::Json{{"parameters", {{"value", next++}}}};
        assignment.stage.key = assay::sha256(assignment.stage.recipe_text());
        assignment.stage.provider = "echo";
        supervisor.start(slot, std::move(assignment));
      }
    }
    ++polls;
    for (const Report& report : supervisor.poll(1)) {
      if (report.kind == ReportKind::kFailed) return 1;
      done += report.kind == ReportKind::kPublished;
    }
  }
  const double wall_s = monotonic_seconds() - start;
  fmt::print("{} stages, {} slots, queue {}: {:.3f} s, {:.3f} ms a stage, {:.1f} stages a poll\n",
             stages, slots, depth, wall_s, 1e3 * wall_s / stages,
             static_cast<double>(stages) / polls);
}
