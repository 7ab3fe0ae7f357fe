#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "harness/spec/node.h"

namespace assay::spec {

// How many causes of failure a run goes on with: as many as this share of its trials, at least 1,
// or a count. One more ends it early.
struct FailureLimit {
  std::optional<double> fraction;     // 0..1, of the trials of the plan
  std::optional<std::int64_t> count;  // at least 1; neither: no limit

  bool operator==(const FailureLimit&) const = default;
};

// The `run:` part of a sweep. Times in seconds; nothing: no limit.
struct RunSettings {
  std::optional<int> slots;    // nothing: as many as the machine offers
  std::string device = "cpu";  // "cpu", "cuda" or "cuda:<model>"
  int threads = 1;             // of one executor
  std::string precision = "float32";  // of networks: float32, float64, bfloat16, float16
  std::string cpu_level = "auto";     // default, avx2, avx512; auto: of the hosts of the run
  bool mkl_intel = false;  // MKL's kernels for Intel processors; no key of a sweep: of the hosts
  std::optional<double> stage_timeout_s;
  std::optional<double> stall_timeout_s = 600;
  std::optional<double> time_limit_s;  // nothing: the batch job's own end, if there is one
  int retries = 2;
  FailureLimit max_failures;
  bool skip_impossible = false;  // leaves out trials that a method cannot do, instead of refusing

  bool operator==(const RunSettings&) const = default;
};

// Reads the map `run:`. Throws Error(kConfig) with place, value and legal values.
RunSettings run_settings_from(Node& node);

// Seconds of "90s", "10m", "1h30m", "2d". Nothing for other text, such as a number without a unit,
// and for more than ten years.
std::optional<double> seconds_from(std::string_view text);

}  // namespace assay::spec
