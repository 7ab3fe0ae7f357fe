#include "harness/evaluate/latency.h"

#include <algorithm>
#include <cmath>

#include "harness/base/quantile.h"

namespace assay::evaluate {
namespace {

constexpr std::int64_t kGroup = 5;
constexpr double kSettled = 0.02;

double timed(const std::function<void()>& run, const std::function<double()>& now) {
  const double start = now();
  run();
  return now() - start;
}

// Ranks of the 95 % interval: the number of values below the median is binomial(n, 1/2), here by
// its normal approximation, widened to whole ranks.
void add_interval(const std::vector<double>& sorted, Latency& latency) {
  const auto n = static_cast<double>(sorted.size());
  const double reach = 1.96 * std::sqrt(n) / 2;
  const auto last = static_cast<std::int64_t>(sorted.size()) - 1;
  const auto at = [&](double rank) {
    return sorted[static_cast<std::size_t>(
        std::clamp(static_cast<std::int64_t>(rank), std::int64_t{0}, last))];
  };
  latency.low_s = at(std::floor(n / 2 - reach));
  latency.high_s = at(std::ceil(n / 2 + reach));
}

}  // namespace

Latency measure_latency(const std::function<void()>& run, const LatencyProtocol& protocol,
                        const std::function<double()>& now) {
  Latency latency;
  const double start = now();
  double before = -1;
  do {
    std::vector<double> group;
    do {
      group.push_back(timed(run, now));
    } while (static_cast<std::int64_t>(group.size()) < kGroup && now() - start < protocol.warmup_s);
    latency.warmup_runs += static_cast<std::int64_t>(group.size());
    std::sort(group.begin(), group.end());
    const double median = quantile(group, 0.5);
    latency.stable = before >= 0 && std::abs(median - before) <= kSettled * before;
    before = median;
  } while (!latency.stable && now() - start < protocol.warmup_s);
  const double begun = now();
  while (static_cast<std::int64_t>(latency.seconds.size()) < kGroup ||
         (static_cast<std::int64_t>(latency.seconds.size()) < protocol.repetitions &&
          now() - begun < protocol.max_s)) {
    latency.seconds.push_back(timed(run, now));
  }
  std::vector<double> sorted = latency.seconds;
  std::sort(sorted.begin(), sorted.end());
  latency.median_s = quantile(sorted, 0.5);
  latency.p10_s = quantile(sorted, 0.1);
  latency.p90_s = quantile(sorted, 0.9);
  add_interval(sorted, latency);
  return latency;
}

}  // namespace assay::evaluate
