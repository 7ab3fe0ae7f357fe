#include "harness/models/kernels/levels.h"
#include "harness/models/kernels/simd.h"

// Norms, gates and rotations in one pass over memory each, where a chain of ATen calls makes one
// pass and one temporary a step.

namespace assay::models::kernels::ASSAY_SIMD_LEVEL {
namespace {

#define ASSAY_FLAT __attribute__((always_inline))

using V = Widest;
constexpr std::int64_t kStep = kLanes<V>;

// body(offset, count) for the vectors of a row, the last one perhaps in part.
template <class Body>
ASSAY_INLINE void for_vectors(std::int64_t width, Body body) {
  std::int64_t c = 0;
  for (; c + kStep <= width; c += kStep) body(c, kStep);
  if (c < width) body(c, width - c);
}

// body(V(), offset) with narrower and narrower vectors, down to single values.
template <class Body>
ASSAY_INLINE void for_falling_vectors(std::int64_t count, Body body) {
  std::int64_t c = 0;
  for (; c + kStep <= count; c += kStep) body(V(), c);
  if (kStep > 8 && c + 8 <= count) {
    body(F8(), c);
    c += 8;
  }
  if (c + 4 <= count) {
    body(F4(), c);
    c += 4;
  }
  for (; c < count; ++c) body(F1(), c);
}

ASSAY_INLINE V take(const float* from, std::int64_t count) {
  return count == kStep ? load<V>(from) : load_part<V>(from, count);
}

ASSAY_INLINE void put(float* to, V value, std::int64_t count) {
  if (count == kStep)
    store(to, value);
  else
    store_part(to, value, count);
}

}  // namespace

void layer_norm(const float* x, const float* weight, const float* bias, float* y, Rows rows,
                double eps) {
  const std::int64_t width = rows.width;
  const auto count = static_cast<float>(width);
  for (std::int64_t r = 0; r < rows.count; ++r, x += width, y += width) {
    V sum{};
    for_vectors(width, [&](std::int64_t c, std::int64_t n) ASSAY_FLAT { sum += take(x + c, n); });
    const float mean = sum_of(sum) / count;
    V squares{};
    for_vectors(width, [&](std::int64_t c, std::int64_t n) ASSAY_FLAT {
      V d = take(x + c, n) - mean;
      if (n < kStep) d = load_part<V>(reinterpret_cast<const float*>(&d), n);
      squares += d * d;
    });
    const double variance = static_cast<double>(sum_of(squares) / count);
    const auto factor = static_cast<float>(1.0 / __builtin_sqrt(variance + eps));
    for_vectors(width, [&](std::int64_t c, std::int64_t n) ASSAY_FLAT {
      const V d = (take(x + c, n) - mean) * factor;
      put(y + c, d * take(weight + c, n) + take(bias + c, n), n);
    });
  }
}

void rms_norm(const float* x, const float* weight, float* y, Rows rows, double eps) {
  const std::int64_t width = rows.width;
  for (std::int64_t r = 0; r < rows.count; ++r, x += width, y += width) {
    V squares{};
    for_vectors(width, [&](std::int64_t c, std::int64_t n) ASSAY_FLAT {
      const V value = take(x + c, n);
      squares += value * value;
    });
    const double mean = static_cast<double>(sum_of(squares)) / static_cast<double>(width);
    const auto factor = static_cast<float>(1.0 / __builtin_sqrt(mean + eps));
    for_vectors(width, [&](std::int64_t c, std::int64_t n) ASSAY_FLAT {
      put(y + c, take(x + c, n) * factor * take(weight + c, n), n);
    });
  }
}

void swiglu(float* gate, const float* up, std::int64_t count) {
  for_falling_vectors(count, [&](auto like, std::int64_t c) ASSAY_FLAT {
    using W = decltype(like);
    const W g = load<W>(gate + c);
    const W x = -g > 87.0f ? all<W>(87.0f) : -g;
    store(gate + c, g / (1.0f + exp_of(x)) * load<W>(up + c));
  });
}

void rotate(float* x, const float* cosine, const float* sine, std::int64_t tokens,
            std::int64_t heads, std::int64_t half) {
  for (std::int64_t t = 0; t < tokens; ++t, cosine += half, sine += half) {
    for (std::int64_t h = 0; h < heads; ++h, x += 2 * half) {
      for_falling_vectors(half, [&](auto like, std::int64_t j) ASSAY_FLAT {
        using W = decltype(like);
        const W a = load<W>(x + j);
        const W b = load<W>(x + half + j);
        const W c = load<W>(cosine + j);
        const W s = load<W>(sine + j);
        store(x + j, a * c - b * s);
        store(x + half + j, b * c + a * s);
      });
    }
  }
}

}  // namespace assay::models::kernels::ASSAY_SIMD_LEVEL
