#include "harness/schedule/durations.h"

#include <cmath>

namespace assay::schedule {
namespace {

// An earlier run counts as this many samples of the present one; beyond the cap a mean forgets, so
// that it follows a machine that became slower.
constexpr double kEarlierWeight = 3;
constexpr double kWeightCap = 50;

}  // namespace

Durations::Durations(const std::map<std::string, double>& earlier) {
  for (const auto& [name, wall_s] : earlier) {
    if (std::isfinite(wall_s) && wall_s >= 0) names_[name] = {wall_s, kEarlierWeight};
  }
}

void Durations::learn(std::string_view name, double wall_s) {
  if (!std::isfinite(wall_s) || wall_s < 0) return;
  auto found = names_.find(name);
  if (found == names_.end()) found = names_.emplace(std::string(name), Mean{}).first;
  Mean& mean = found->second;
  if (mean.weight < kWeightCap) mean.weight += 1;
  mean.wall_s += (wall_s - mean.wall_s) / mean.weight;
}

bool Durations::known(std::string_view name) const { return names_.contains(name); }

double Durations::expected_s(std::string_view name) const {
  const auto found = names_.find(name);
  if (found != names_.end()) return found->second.wall_s;
  if (names_.empty()) return 1;
  double sum = 0;
  for (const auto& [other, mean] : names_) sum += mean.wall_s;
  return sum / static_cast<double>(names_.size());
}

}  // namespace assay::schedule
