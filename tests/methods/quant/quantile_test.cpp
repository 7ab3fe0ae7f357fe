#include "methods/quant/quantile.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace assay::quant {
namespace {

double exact(const at::Tensor& row, double q) {
  std::vector<double> values;
  for (std::int64_t i = 0; i < row.numel(); ++i) values.push_back(row[i].item<double>());
  std::sort(values.begin(), values.end());
  const double position = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const double above = values[std::min(below + 1, values.size() - 1)];
  return values[below] + (above - values[below]) * (position - std::floor(position));
}

TEST(Quantile, is_exact_in_float64_for_float32_rows) {
  at::manual_seed(1);
  const at::Tensor rows = at::randn({3, 4001}) * 7;
  for (const double q : {0.0, 0.0001, 0.37, 0.5, 0.9999, 0.99999, 1.0}) {
    const at::Tensor found = quant::quantile(rows, q);
    ASSERT_EQ(found.sizes(), (std::vector<std::int64_t>{3, 1}));
    for (std::int64_t r = 0; r < 3; ++r) {
      EXPECT_EQ(found[r].item<float>(), static_cast<float>(exact(rows[r], q))) << q;
    }
  }
  EXPECT_EQ(quant::quantile(at::full({1, 1}, 3.0), 0.4).item<double>(), 3);
}

TEST(Quantile, a_row_with_nan_has_none) {
  at::Tensor rows = at::rand({2, 9});
  rows[1][4] = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor found = quant::quantile(rows, 0.5);
  EXPECT_TRUE(std::isfinite(found[0].item<float>()));
  EXPECT_TRUE(std::isnan(found[1].item<float>()));
}

}  // namespace
}  // namespace assay::quant
