#include "results/board/comparison_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace assay::results {
namespace {

// "-" where there is no interval.
Cell bound_cell(double value, double size, int decimals) {
  return std::isnan(value) ? empty_cell() : difference_cell(value, size, decimals);
}

// The bootstrap's interval of fewer is far too narrow: two samples have three resamples.
constexpr std::int64_t kFewestSamples = 10;

std::string verdict(const Comparison& comparison) {
  const PairedEstimate& e = comparison.estimate;
  if (std::isnan(e.low) || std::isnan(e.high)) return "not resolved";
  if (e.n < kFewestSamples) return "too few samples";
  if (e.low <= 0 && e.high >= 0) return "not resolved";
  return (e.low > 0) == comparison.higher_is_better ? "A better" : "B better";
}

}  // namespace

Table comparison_table(const std::string& left_label, const std::string& right_label,
                       const std::vector<Comparison>& comparisons, bool seeds_drawn,
                       const BootstrapOptions& options) {
  Table table{.title = "A: " + left_label + "   B: " + right_label,
              .columns = {{"metric"},
                          {"data"},
                          {"value"},
                          {"A", true},
                          {"B", true},
                          {"A - B", true},
                          {"low", true},
                          {"high", true},
                          {"n", true},
                          {"only A right", true},
                          {"only B right", true},
                          {"verdict"}}};
  for (const Comparison& c : comparisons) {
    const int decimals = c.unit == "%" ? 2 : 4;
    const PairedEstimate& e = c.estimate;
    const double size = std::max(std::abs(e.left), std::abs(e.right));
    table.rows.push_back(
        {text_cell(c.metric), text_cell(c.where),
         text_cell(c.unit.empty() ? c.name : c.name + " " + c.unit), number_cell(e.left, decimals),
         number_cell(e.right, decimals), difference_cell(e.difference, size, decimals),
         bound_cell(e.low, size, decimals), bound_cell(e.high, size, decimals), count_cell(e.n),
         c.flips ? count_cell(c.flips->only_left) : empty_cell(),
         c.flips ? count_cell(c.flips->only_right) : empty_cell(), text_cell(verdict(c))});
  }
  table.notes.push_back(
      fmt::format("low, high: {:g} % interval of A - B, paired bootstrap{}, {} resamples, seed {}",
                  options.level * 100, seeds_drawn ? " over seeds and samples" : "",
                  options.resamples, options.seed));
  table.notes.push_back(
      "the interval covers which samples were drawn, not the rounding of another run or machine");
  return table;
}

}  // namespace assay::results
