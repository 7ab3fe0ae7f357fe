#include "harness/base/quantile.h"

#include <gtest/gtest.h>

#include <vector>

namespace assay {
namespace {

TEST(quantile, lies_between_order_statistics) {
  const auto of = [](const std::vector<double>& sorted, double q) { return quantile(sorted, q); };
  EXPECT_DOUBLE_EQ(of({1, 2, 3}, 0.5), 2);
  EXPECT_DOUBLE_EQ(of({1, 2}, 0.25), 1.25);
  EXPECT_DOUBLE_EQ(of({4}, 0.9), 4);
  EXPECT_DOUBLE_EQ(of({1, 2, 3}, 0), 1);
  EXPECT_DOUBLE_EQ(of({1, 2, 3}, 1), 3);
}

}  // namespace
}  // namespace assay
