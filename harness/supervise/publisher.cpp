#include "harness/supervise/publisher.h"

#include <algorithm>

#include "harness/supervise/host.h"

namespace assay::supervise {
namespace {

constexpr double kLongestWindowSeconds = 0.05;
// A group waits this many times what the last sync took: syncs take at most a fifth of the time.
constexpr double kWindowPerCost = 4;

}  // namespace

void Publisher::add(Finished finished, Report report, double now_s) {
  if (waiting_.empty()) oldest_s_ = now_s;
  waiting_.push_back(std::move(finished));
  reports_.push_back(std::move(report));
}

double Publisher::due_s() const {
  const double adapted = std::clamp(kWindowPerCost * last_cost_s_, window_s_,
                                    std::max(window_s_, kLongestWindowSeconds));
  return waiting_.empty() ? std::numeric_limits<double>::infinity() : oldest_s_ + adapted;
}

void Publisher::flush(std::vector<Report>& reports) {
  const std::vector<Finished> group = std::exchange(waiting_, {});
  std::vector<Report> ready = std::exchange(reports_, {});
  const double before = monotonic_seconds();
  std::vector<Published> published = store_.publish(group);
  last_cost_s_ = monotonic_seconds() - before;
  for (std::size_t i = 0; i < ready.size(); ++i) {
    ready[i].artifact = std::move(published[i].artifact);
    ready[i].first = published[i].first;
    ready[i].nondeterminism = std::move(published[i].nondeterminism);
    reports.push_back(std::move(ready[i]));
  }
}

}  // namespace assay::supervise
