#include "harness/run/numerics.h"

#include <fmt/format.h>

#include "harness/base/error.h"

namespace assay::run {

std::string settle_numerics(spec::RunSettings& settings,
                            const std::vector<supervise::HostNumerics>& hosts) {
  const supervise::HostNumerics lowest = supervise::lowest_numerics(hosts);
  const bool open = settings.cpu_level == "auto";
  if (open) settings.cpu_level = lowest.cpu_level;
  settings.mkl_intel = lowest.mkl_intel;
  const std::string why = !open               ? std::string("as the sweep says")
                          : hosts.size() == 1 ? fmt::format("auto: of host {}", lowest.host)
                                              : fmt::format("auto: the lowest of {} ranks, host {}",
                                                            hosts.size(), lowest.host);
  return fmt::format(
      "numerics class: {}, {}, threads {}, cpu_level {} ({}), MKL's kernels for {} processors",
      settings.device, settings.precision, settings.threads, settings.cpu_level, why,
      settings.mkl_intel ? "Intel" : "other");
}

void check_hosts(const spec::RunSettings& settled,
                 const std::vector<supervise::HostNumerics>& hosts) {
  std::string cannot;
  for (const supervise::HostNumerics& host : hosts) {
    if (supervise::offers_level(host.cpu_level, settled.cpu_level)) continue;
    cannot +=
        fmt::format("{}{} (offers {})", cannot.empty() ? "" : ", ", host.host, host.cpu_level);
  }
  if (cannot.empty()) return;
  throw Error(ErrorKind::kEnvironment,
              fmt::format("run.cpu_level is {}, which these hosts cannot do: {}; run where all "
                          "hosts have it, or plan for less: --set run.cpu_level={} (other low "
                          "bits, so other keys)",
                          settled.cpu_level, cannot, supervise::lowest_numerics(hosts).cpu_level));
}

}  // namespace assay::run
