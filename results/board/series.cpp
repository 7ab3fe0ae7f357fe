#include "results/board/series.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

namespace assay::results {
namespace {

constexpr std::size_t kWidth = 32;
constexpr int kLevels = 8;

struct Point {
  std::int64_t step = 0;
  double value = 0;
};

// Points that are no [integer, number] are passed over: they were not written by Assay.
std::vector<Point> points_of(const Json& series) {
  std::vector<Point> points;
  if (!series.is_array()) return points;
  for (const Json& each : series) {
    if (each.is_array() && each.size() == 2 && each[0].is_number_integer() && each[1].is_number()) {
      points.push_back({each[0].get<std::int64_t>(), each[1].get<double>()});
    }
  }
  return points;
}

}  // namespace

std::string sparkline(const std::vector<double>& values, std::size_t width) {
  const std::size_t count = std::min(width, values.size());
  std::vector<double> means(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto from = values.begin() + static_cast<std::ptrdiff_t>(i * values.size() / count);
    const auto to = values.begin() + static_cast<std::ptrdiff_t>((i + 1) * values.size() / count);
    means[i] = std::accumulate(from, to, 0.0) / static_cast<double>(to - from);
  }
  std::string line;
  if (means.empty()) return line;
  const auto [least, greatest] = std::minmax_element(means.begin(), means.end());
  const double range = *greatest - *least;
  for (const double mean : means) {
    const double part = range > 0 && std::isfinite(range) ? (mean - *least) / range : 0;
    // U+2581 (lower one eighth block) and the seven after it.
    line += "\xE2\x96";
    line += static_cast<char>(0x81 + std::lround(part * (kLevels - 1)));
  }
  return line;
}

Table series_table(const std::vector<TrialStageSummary>& stages) {
  Table table{.title = "Series",
              .columns = {{"stage"},
                          {"series"},
                          {"points", true},
                          {"first", true},
                          {"least", true},
                          {"greatest", true},
                          {"last", true},
                          {"at step", true},
                          {"shape"}}};
  for (const TrialStageSummary& stage : stages) {
    if (!stage.series.is_object()) continue;
    for (const auto& item : stage.series.items()) {
      const std::vector<Point> points = points_of(item.value());
      if (points.empty()) continue;
      std::vector<double> values;
      for (const Point& point : points) values.push_back(point.value);
      const auto [least, greatest] = std::minmax_element(values.begin(), values.end());
      table.rows.push_back({text_cell(stage.label),
                            text_cell(item.key()),
                            count_cell(static_cast<std::int64_t>(points.size())),
                            number_cell(values.front(), 4),
                            number_cell(*least, 4),
                            number_cell(*greatest, 4),
                            number_cell(values.back(), 4),
                            count_cell(points.back().step),
                            {sparkline(values, kWidth), item.value()}});
    }
  }
  return table;
}

}  // namespace assay::results
