#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "methods/aespa/loop_math.h"
#include "methods/aespa/rounding_loops.h"
#include "methods/quant/row_loops.h"

// What an iteration of learn_rounding does to the values of one row.

namespace assay::aespa {

template <typename T>
ASSAY_INLINE_LOOP T stretched(T sigmoid) {
  return T(1.2) * sigmoid - T(0.1);
}

template <typename T>
ASSAY_INLINE_LOOP T clamped(T value, T high) {
  value = value < 0 ? T(0) : value;
  return value > high ? high : value;
}

template <typename T>
ASSAY_INLINE_LOOP void difference_of_row(const RoundingValues<T>& values, std::int64_t row) {
  const std::int64_t at = row * values.columns;
  const T zero = values.zero[row], qmax = values.qmax;
  const T* __restrict variable = values.variable + at;
  const T* __restrict floor = values.floor + at;
  const T* __restrict step = values.step + at;
  const T* __restrict weight = values.weight + at;
  T* __restrict sigmoid = values.sigmoid + at;
  T* __restrict difference = values.difference + at;
  for (std::int64_t j = 0; j < values.columns; ++j) {
    const T s = T(1) / (T(1) + exponential(-variable[j]));
    const T code = clamped(floor[j] + clamped(stretched(s), T(1)) + zero, qmax);
    sigmoid[j] = s;
    difference[j] = step[j] * (code - zero) - weight[j];
  }
}

template <typename T>
struct Adam {
  // 1 - beta is not rounded twice: in float32 1 - 0.999 is off by 1e-5 of itself.
  T beta2 = T(0.999), rest1 = T(1 - 0.9), rest2 = T(1 - 0.999), epsilon = T(1e-8);
  T rate, root;   // learning rate / (1 - beta1^t), sqrt(1 - beta2^t)
  T slope, beta;  // of the regulariser: -its weight, its exponent

  explicit Adam(const AdamStep& step)
      : rate(static_cast<T>(step.learning_rate /
                            (1 - std::pow(0.9, static_cast<double>(step.number))))),
        root(static_cast<T>(std::sqrt(1 - std::pow(0.999, static_cast<double>(step.number))))),
        slope(static_cast<T>(-step.regularizer)),
        beta(static_cast<T>(step.beta)) {}
};

constexpr std::int64_t kRun = 64;  // values whose gradients are at hand at a time

// Gradients of a run of values by B. The operations and their order are those of PyTorch's.
template <bool kRegularized, typename T>
ASSAY_INLINE_LOOP void gradients(const RoundingValues<T>& values, const Adam<T>& adam,
                                 std::int64_t at, std::int64_t count, T zero, T* __restrict g) {
  const T* __restrict sigmoid = values.sigmoid + at;
  const T* __restrict floor = values.floor + at;
  const T* __restrict step = values.step + at;
  const T* __restrict gradient = values.difference + at;
  const T qmax = values.qmax;
  for (std::int64_t j = 0; j < count; ++j) {
    const T s = sigmoid[j], wide = stretched(s), h = clamped(wide, T(1));
    const T code = floor[j] + h + zero, pull = step[j] * gradient[j];
    T by_h = code >= 0 && code <= qmax ? pull : T(0);
    if constexpr (kRegularized) {
      const T centre = T(2) * h - T(1);
      const T sign = centre > 0 ? T(1) : T(-1);
      const T slope = adam.beta * power(centre * sign, adam.beta - T(1));
      by_h += adam.slope * slope * sign * T(2);
    }
    const T by_variable = by_h * T(1.2) * (T(1) - s) * s;
    g[j] = wide >= 0 && wide <= 1 ? by_variable : T(0);
  }
}

// Whether h(B) stands beyond its ends for all of a run: then nothing pulls.
template <typename T>
ASSAY_INLINE_LOOP bool all_decided(const T* sigmoid, std::int64_t count) {
  T inside = 0;
  for (std::int64_t j = 0; j < count; ++j) {
    const T wide = stretched(sigmoid[j]);
    inside = std::max(inside, wide >= 0 && wide <= 1 ? T(1) : T(0));
  }
  return inside == 0;
}

template <typename T>
ASSAY_INLINE_LOOP void update_row(const RoundingValues<T>& values, const Adam<T>& adam,
                                  std::int64_t row) {
  T g[kRun] = {};
  for (std::int64_t begin = 0; begin < values.columns; begin += kRun) {
    const std::int64_t at = row * values.columns + begin;
    const std::int64_t count = std::min(kRun, values.columns - begin);
    if (all_decided(values.sigmoid + at, count)) {
      std::fill(g, g + count, T(0));
    } else if (adam.slope != 0) {
      gradients<true>(values, adam, at, count, values.zero[row], g);
    } else {
      gradients<false>(values, adam, at, count, values.zero[row], g);
    }
    T* __restrict variable = values.variable + at;
    T* __restrict first = values.first + at;
    T* __restrict second = values.second + at;
    for (std::int64_t j = 0; j < count; ++j) {
      const T m = first[j] + (g[j] - first[j]) * adam.rest1;
      const T v = second[j] * adam.beta2 + adam.rest2 * g[j] * g[j];
      first[j] = m;
      second[j] = v;
      variable[j] -= adam.rate * m / (std::sqrt(v) / adam.root + adam.epsilon);
    }
  }
}

}  // namespace assay::aespa
