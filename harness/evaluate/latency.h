#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace assay::evaluate {

struct LatencyProtocol {
  std::int64_t repetitions = 50;
  double warmup_s = 2;  // the most that warming up may take
  double max_s = 30;    // the most that the repetitions may take; at least 5 are made
};

struct Latency {
  std::vector<double> seconds;  // of every repetition, in order
  std::int64_t warmup_runs = 0;
  bool stable = false;  // whether warming up ended because times had settled
  double median_s = 0;
  double p10_s = 0;
  double p90_s = 0;
  double low_s = 0;  // 95 % interval of the median from order statistics
  double high_s = 0;
};

// Calls `run` again and again. Warm-up ends when the medians of two successive groups of 5 calls
// differ by at most 2 %, or after warmup_s. `now` gives seconds of a steady clock.
Latency measure_latency(const std::function<void()>& run, const LatencyProtocol& protocol,
                        const std::function<double()>& now);

}  // namespace assay::evaluate
