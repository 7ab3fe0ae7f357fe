#include "methods/aespa/rounding_loops.h"

#include <ATen/Parallel.h>

#include <cmath>

namespace assay::aespa {
namespace {

#define ASSAY_INLINE_LOOP inline __attribute__((always_inline))

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
  const T* __restrict sigmoid = values.sigmoid + at;
  const T* __restrict floor = values.floor + at;
  const T* __restrict step = values.step + at;
  const T* __restrict weight = values.weight + at;
  T* __restrict difference = values.difference + at;
  for (std::int64_t j = 0; j < values.columns; ++j) {
    const T code = clamped(floor[j] + clamped(stretched(sigmoid[j]), T(1)) + zero, qmax);
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

// The operations and their order are those of PyTorch's gradients and Adam, so that float32 runs
// part from the release's as late as they can.
template <typename T>
ASSAY_INLINE_LOOP void update_row(const RoundingValues<T>& values, const T* power_of_all,
                                  const Adam<T>& adam, std::int64_t row) {
  const std::int64_t at = row * values.columns;
  const T zero = values.zero[row], qmax = values.qmax;
  const T* __restrict sigmoid = values.sigmoid + at;
  const T* __restrict floor = values.floor + at;
  const T* __restrict step = values.step + at;
  const T* __restrict gradient = values.difference + at;
  const T* __restrict power = power_of_all + at;
  T* __restrict variable = values.variable + at;
  T* __restrict first = values.first + at;
  T* __restrict second = values.second + at;
  for (std::int64_t j = 0; j < values.columns; ++j) {
    const T s = sigmoid[j], wide = stretched(s), h = clamped(wide, T(1));
    const T code = floor[j] + h + zero;
    const T by_weight = code >= 0 && code <= qmax ? step[j] * gradient[j] : T(0);
    const T centre = T(2) * h - T(1);
    const T sign = centre > 0 ? T(1) : centre < 0 ? T(-1) : T(0);
    const T by_h = by_weight + adam.slope * (adam.beta * power[j]) * sign * T(2);
    const T g = wide >= 0 && wide <= 1 ? by_h * T(1.2) * (T(1) - s) * s : T(0);
    const T m = first[j] + (g - first[j]) * adam.rest1;
    const T v = second[j] * adam.beta2 + adam.rest2 * g * g;
    first[j] = m;
    second[j] = v;
    variable[j] -= adam.rate * m / (std::sqrt(v) / adam.root + adam.epsilon);
  }
}

// Each body once for processors with AVX2 and once for others.
#if defined(__x86_64__)
#define ASSAY_ON_AVX2 __attribute__((target("avx2")))
bool has_avx2() { return __builtin_cpu_supports("avx2") != 0; }
#else
#define ASSAY_ON_AVX2
bool has_avx2() { return false; }
#endif

template <typename T>
ASSAY_ON_AVX2 void differences_avx2(const RoundingValues<T>& values, std::int64_t begin,
                                    std::int64_t end) {
  for (std::int64_t row = begin; row < end; ++row) difference_of_row(values, row);
}
template <typename T>
void differences(const RoundingValues<T>& values, std::int64_t begin, std::int64_t end) {
  for (std::int64_t row = begin; row < end; ++row) difference_of_row(values, row);
}
template <typename T>
ASSAY_ON_AVX2 void updates_avx2(const RoundingValues<T>& values, const T* power,
                                const Adam<T>& adam, std::int64_t begin, std::int64_t end) {
  for (std::int64_t row = begin; row < end; ++row) update_row(values, power, adam, row);
}
template <typename T>
void updates(const RoundingValues<T>& values, const T* power, const Adam<T>& adam,
             std::int64_t begin, std::int64_t end) {
  for (std::int64_t row = begin; row < end; ++row) update_row(values, power, adam, row);
}

// Rows that are worth a thread's start.
std::int64_t grain(std::int64_t columns) { return 1 + 20000 / (columns + 1); }

template <typename T>
void all_differences(const RoundingValues<T>& values) {
  at::parallel_for(0, values.rows, grain(values.columns),
                   [&](std::int64_t begin, std::int64_t end) {
                     if (has_avx2()) {
                       differences_avx2(values, begin, end);
                     } else {
                       differences(values, begin, end);
                     }
                   });
}

template <typename T>
void all_updates(const RoundingValues<T>& values, const T* power, const AdamStep& step) {
  const Adam<T> adam(step);
  at::parallel_for(0, values.rows, grain(values.columns),
                   [&](std::int64_t begin, std::int64_t end) {
                     if (has_avx2()) {
                       updates_avx2(values, power, adam, begin, end);
                     } else {
                       updates(values, power, adam, begin, end);
                     }
                   });
}

}  // namespace

void soft_difference(const RoundingValues<float>& values) { all_differences(values); }
void soft_difference(const RoundingValues<double>& values) { all_differences(values); }

void update_variable(const RoundingValues<float>& values, const float* power,
                     const AdamStep& step) {
  all_updates(values, power, step);
}
void update_variable(const RoundingValues<double>& values, const double* power,
                     const AdamStep& step) {
  all_updates(values, power, step);
}

}  // namespace assay::aespa
