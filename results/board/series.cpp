#include "results/board/series.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>

namespace assay::results {
namespace {

constexpr std::size_t kWidth = 32;
constexpr int kLevels = 8;

// The values of points that have one, in their order. Points that are no [integer, number or null]
// are passed over: they were not written by Assay.
std::vector<double> values_of(const Json& points) {
  std::vector<double> values;
  for (const Json& each : points.is_array() ? points : Json::array()) {
    if (each.is_array() && each.size() == 2 && each[0].is_number_integer() && each[1].is_number())
      values.push_back(each[1].get<double>());
  }
  return values;
}

std::int64_t integer_in(const Json& series, const char* name) {
  const Json value = series.value(name, Json());
  return value.is_number_integer() ? value.get<std::int64_t>() : 0;
}

Cell number_in(const Json& series, const char* name) {
  const Json value = series.value(name, Json());
  return value.is_number() ? number_cell(value.get<double>(), 4) : empty_cell();
}

// Its value, and the step that it stands at.
std::pair<Cell, Cell> last_of(const Json& points) {
  if (!points.is_array() || points.empty()) return {empty_cell(), empty_cell()};
  const Json& last = points.back();
  if (!last.is_array() || last.size() != 2 || !last[0].is_number_integer())
    return {empty_cell(), empty_cell()};
  return {last[1].is_number() ? number_cell(last[1].get<double>(), 4) : empty_cell(),
          count_cell(last[0].get<std::int64_t>())};
}

}  // namespace

std::string sparkline(const std::vector<double>& values, std::size_t width) {
  const std::size_t count = std::min(width, values.size());
  std::vector<double> means(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto from = values.begin() + static_cast<std::ptrdiff_t>(i * values.size() / count);
    const auto to = values.begin() + static_cast<std::ptrdiff_t>((i + 1) * values.size() / count);
    const auto share = static_cast<double>(to - from);
    const double mean = std::accumulate(
        from, to, 0.0, [share](double sum, double value) { return sum + value / share; });
    // Its rounding would be a shape where all values are equal.
    const auto [least, greatest] = std::minmax_element(from, to);
    means[i] = std::clamp(mean, *least, *greatest);
  }
  std::string line;
  if (means.empty()) return line;
  const auto [least, greatest] = std::minmax_element(means.begin(), means.end());
  const double half_range = *greatest / 2 - *least / 2;  // the whole may be beyond a double
  for (const double mean : means) {
    const double part = half_range > 0 ? (mean / 2 - *least / 2) / half_range : 0;
    // U+2581 (lower one eighth block) and the seven after it.
    line += "\xE2\x96";
    line += static_cast<char>(0x81 + std::lround(part * (kLevels - 1)));
  }
  return line;
}

Table series_table(const std::vector<TrialStageSummary>& stages) {
  Table table{.title = "Series",
              .columns = {{"stage"},
                          {"key"},
                          {"series"},
                          {"points", true},
                          {"undefined", true},
                          {"first", true},
                          {"least", true},
                          {"greatest", true},
                          {"last", true},
                          {"at step", true},
                          {"shape"}}};
  for (const TrialStageSummary& stage : stages) {
    if (!stage.series.is_object()) continue;
    for (const auto& item : stage.series.items()) {
      if (!item.value().is_object()) continue;
      const Json& series = item.value();
      const Json points = series.value("points", Json());
      const std::vector<double> values = values_of(points);
      const std::int64_t count = integer_in(series, "count");
      if (count < 1) continue;
      const auto [last, step] = last_of(points);
      table.rows.push_back({text_cell(stage.label),
                            {stage.key.substr(0, 12), stage.key},
                            text_cell(item.key()),
                            count_cell(count),
                            count_cell(integer_in(series, "undefined")),
                            values.empty() ? empty_cell() : number_cell(values.front(), 4),
                            number_in(series, "least"),
                            number_in(series, "greatest"),
                            last,
                            step,
                            {sparkline(values, kWidth), points}});
    }
  }
  return table;
}

}  // namespace assay::results
