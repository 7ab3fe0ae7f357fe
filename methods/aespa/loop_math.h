#pragma once

#include <bit>
#include <cstdint>

#include "methods/quant/row_loops.h"

// Exponentials and powers without branches and without tables, so that the compiler makes vectors
// of loops over them on processors with AVX2. Errors are a few units in the last place.

namespace assay::aespa {

// c0 + x (c1 + x (c2 + ..))
template <typename T>
ASSAY_INLINE_LOOP T polynomial(T /*x*/, T last) {
  return last;
}
template <typename T, typename... Rest>
ASSAY_INLINE_LOOP T polynomial(T x, T first, Rest... rest) {
  return first + x * polynomial(x, rest...);
}

// e^x for |x| <= 87, farther out as there.
ASSAY_INLINE_LOOP float exponential(float x) {
  constexpr float kRound = 0x1.8p23f;  // a sum with it holds a whole number in its low bits
  constexpr float kHigh = 0x1.62e4p-1f, kLow = 0x1.7f7d1cp-20f;  // ln 2 in two parts
  x = x < -87.0f ? -87.0f : x;
  x = x > 87.0f ? 87.0f : x;
  const float shifted = x * 0x1.715476p0f + kRound, n = shifted - kRound;
  const float r = x - n * kHigh - n * kLow;
  const float p = polynomial(r, 1.0f, 1.0f, 0.5f, 1.0f / 6, 1.0f / 24, 1.0f / 120, 1.0f / 720);
  const auto bits = std::bit_cast<std::uint32_t>(shifted);
  return p * std::bit_cast<float>((bits << 23) + (127U << 23));
}

// e^x for |x| <= 708, farther out as there.
ASSAY_INLINE_LOOP double exponential(double x) {
  constexpr double kRound = 0x1.8p52;
  constexpr double kHigh = 0x1.62e42feep-1, kLow = 0x1.a39ef35793c76p-33;
  x = x < -708.0 ? -708.0 : x;
  x = x > 708.0 ? 708.0 : x;
  const double shifted = x * 0x1.71547652b82fep0 + kRound, n = shifted - kRound;
  const double r = x - n * kHigh - n * kLow;
  const double p =
      polynomial(r, 1.0, 1.0, 0.5, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320,
                 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800);
  const auto bits = std::bit_cast<std::uint64_t>(shifted);
  return p * std::bit_cast<double>((bits << 52) + (std::uint64_t{1023} << 52));
}

// ln x of a normal number above 0, by the series of the inverse hyperbolic tangent; x = m 2^n with
// m about 1.
ASSAY_INLINE_LOOP float logarithm(float x) {
  const auto bits = std::bit_cast<std::int32_t>(x);
  const std::int32_t n = (bits - 0x3f3504f3) >> 23;
  const float m = std::bit_cast<float>(bits - (n << 23));
  const float s = (m - 1) / (m + 1);
  const float series = s * polynomial(s * s, 2.0f, 2.0f / 3, 2.0f / 5, 2.0f / 7, 2.0f / 9);
  return static_cast<float>(n) * 0x1.62e430p-1f + series;
}

ASSAY_INLINE_LOOP double logarithm(double x) {
  constexpr std::uint64_t kOne = 0x3ff0000000000000, kRootHalf = 0x3fe6a09e667f3bcd;
  constexpr std::uint64_t kWhole = 0x4330000000000000;  // of 2^52, whose last bit counts ones
  // AVX2 neither shifts signed numbers of 64 bits nor converts them, so n is held with its offset.
  const std::uint64_t bits = std::bit_cast<std::uint64_t>(x) + (kOne - kRootHalf);
  const double n = std::bit_cast<double>((bits >> 52) | kWhole) - 0x1p52 - 1023.0;
  const double m = std::bit_cast<double>((bits & 0x000fffffffffffff) + kRootHalf);
  const double s = (m - 1) / (m + 1);
  const double series = s * polynomial(s * s, 2.0, 2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11,
                                       2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21);
  return n * 0x1.62e42fefa39efp-1 + series;
}

// base^exponent for base in [0, 1], exponent >= 1.
template <typename T>
ASSAY_INLINE_LOOP T power(T base, T exponent) {
  base = base < T(1e-30) ? T(1e-30) : base;
  return exponential(exponent * logarithm(base));
}

}  // namespace assay::aespa
