#include "harness/supervise/result.h"

#include <fmt/format.h>

#include <cstdint>

#include "harness/base/error.h"

namespace assay::supervise {
namespace {

[[noreturn]] void refuse_result(const plan::Stage& stage, const std::string& problem) {
  throw Error(ErrorKind::kData, fmt::format("result of stage '{}': {}", stage.name, problem),
              {{"stage", stage.name}});
}

// Whether a double holds it.
bool is_exact(const Json& number) {
  constexpr std::int64_t kLargest = std::int64_t{1} << 53;
  if (number.is_number_unsigned()) return number.get<std::uint64_t>() <= std::uint64_t{kLargest};
  if (!number.is_number_integer()) return true;
  const auto value = number.get<std::int64_t>();
  return -kLargest <= value && value <= kLargest;
}

}  // namespace

Json assembled_result(const Json& returned, const plan::Stage& stage, const Json& files,
                      const record::AttemptRecord& record, const Spent& before) {
  Json result = returned;
  for (const char* name : {"stage", "key", "files", "attempt", "digest", "digests", "series"}) {
    if (result.contains(name))
      refuse_result(stage, fmt::format("member '{}' is set by the supervisor", name));
  }
  for (const char* name : {"metrics", "cost", "environment"}) {
    if (!result.contains(name))
      result[name] = Json::object();
    else if (!result[name].is_object())
      refuse_result(stage, fmt::format("member '{}' must be an object, not {}", name,
                                       result[name].dump().substr(0, 100)));
  }
  for (const auto& metric : result["metrics"].items()) {
    if (!metric.value().is_number() && !metric.value().is_null())
      refuse_result(stage, fmt::format("metric '{}' must be a number or null, not {}", metric.key(),
                                       metric.value().dump().substr(0, 100)));
    if (!is_exact(metric.value()))
      refuse_result(stage,
                    fmt::format("metric '{}' is {}: figures are kept as 64-bit floating-point "
                                "numbers, which hold integers up to 2^53 exactly; return it in "
                                "another unit, or beside the metrics",
                                metric.key(), metric.value().dump()));
  }
  result["stage"] = stage.name;
  result["key"] = stage.key;
  result["files"] = files;
  result["attempt"] = record.number;
  Json& cost = result["cost"];
  cost["wall_s"] = record.ended_unix_s - record.started_unix_s + before.wall_s;
  cost["cpu_s"] = record.cpu_s ? *record.cpu_s + before.cpu_s : -1;
  cost["peak_memory_bytes"] = record.peak_memory_bytes.value_or(-1);
  Json& environment = result["environment"];
  environment.update(record.environment);
  environment["started_unix_s"] = record.started_unix_s;
  environment["ended_unix_s"] = record.ended_unix_s;
  return result;
}

}  // namespace assay::supervise
