#include "methods/aespa/loop_math.h"

#include <gtest/gtest.h>

#include <cmath>

namespace assay::aespa {
namespace {

template <typename T>
void expect_close(T value, double expected, double units) {
  const double epsilon = sizeof(T) == 4 ? 0x1p-23 : 0x1p-52;
  EXPECT_NEAR(static_cast<double>(value), expected, units * epsilon * std::fabs(expected));
}

TEST(LoopMath, exponential_is_exact_to_units_in_the_last_place) {
  EXPECT_EQ(exponential(0.0), 1);
  EXPECT_EQ(exponential(0.0F), 1);
  for (double x = -700; x <= 700; x += 0.37) expect_close(exponential(x), std::exp(x), 2);
  for (float x = -87; x <= 87; x += 0.037F) {
    expect_close(exponential(x), std::exp(static_cast<double>(x)), 4);
  }
  EXPECT_EQ(exponential(-1e6), exponential(-708.0));
  EXPECT_EQ(exponential(1e6F), exponential(87.0F));
}

TEST(LoopMath, logarithm_is_exact_to_units_in_the_last_place) {
  EXPECT_EQ(logarithm(1.0), 0);
  EXPECT_EQ(logarithm(1.0F), 0);
  for (double x = 1e-30; x <= 1; x *= 1.013) expect_close(logarithm(x), std::log(x), 4);
  for (float x = 1e-30F; x <= 1; x *= 1.013F) {
    expect_close(logarithm(x), std::log(static_cast<double>(x)), 4);
  }
}

// An error of the logarithm grows with the exponent and with how small the power is.
TEST(LoopMath, power_is_that_of_the_standard_library) {
  for (const double exponent : {1.0, 1.5, 3.0, 7.3, 19.0}) {
    EXPECT_EQ(power(1.0, exponent), 1);
    for (double base = 0.001; base < 1; base += 0.0017) {
      EXPECT_NEAR(power(base, exponent) / std::pow(base, exponent), 1, 1e-13);
      const auto narrow = static_cast<float>(base), small = static_cast<float>(exponent);
      if (exponent > 7.3) continue;
      EXPECT_NEAR(power(narrow, small) / std::pow(static_cast<double>(narrow), exponent), 1, 1e-5);
    }
  }
  EXPECT_LT(power(0.0, 2.0), 1e-50);
}

}  // namespace
}  // namespace assay::aespa
