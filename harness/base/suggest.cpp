#include "harness/base/suggest.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

namespace assay {
namespace {

std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replace});
    }
  }
  return row.back();
}

}  // namespace

std::string nearest(std::string_view name, const std::vector<std::string>& legal) {
  std::string best;
  // A transposition costs 2, so three letters or more allow that much.
  std::size_t best_distance = (name.size() < 3 ? 1 : std::max<std::size_t>(2, name.size() / 3)) + 1;
  if (name.size() > 200) return best;  // hostile input is not worth a quadratic search
  for (const std::string& candidate : legal) {
    const std::size_t d = distance(name, candidate);
    if (d < best_distance) {
      best_distance = d;
      best = candidate;
    }
  }
  return best;
}

std::string suggestion(std::string_view name, const std::vector<std::string>& legal) {
  const std::string best = nearest(name, legal);
  if (!best.empty()) return fmt::format("; did you mean '{}'?", best);
  if (legal.empty()) return "";
  constexpr std::size_t kShown = 20;
  if (legal.size() <= kShown) return fmt::format("; legal: {}", fmt::join(legal, ", "));
  return fmt::format("; legal: {}, ... ({} in all)",
                     fmt::join(legal.begin(), legal.begin() + kShown, ", "), legal.size());
}

}  // namespace assay
