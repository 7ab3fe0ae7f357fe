#pragma once

#include <cstdint>

// Vectors of float32 for the loops of this folder, on GCC's vector extensions. A loops file is
// compiled once a level of the processor (avx2, avx512; see CMakeLists.txt) with
// ASSAY_SIMD_LEVEL naming it, and holds nothing but functions of that namespace: an inline function
// of a standard header could be kept from the copy that only the newest processors run.

#ifdef ASSAY_SIMD_LEVEL  // there is nothing in it for anybody else

namespace assay::models::kernels::ASSAY_SIMD_LEVEL {
namespace {

typedef float F1 __attribute__((vector_size(4)));
typedef float F4 __attribute__((vector_size(16)));
typedef float F8 __attribute__((vector_size(32)));
typedef float F16 __attribute__((vector_size(64)));
typedef std::int32_t I1 __attribute__((vector_size(4)));
typedef std::int32_t I4 __attribute__((vector_size(16)));
typedef std::int32_t I8 __attribute__((vector_size(32)));
typedef std::int32_t I16 __attribute__((vector_size(64)));
typedef std::uint32_t U1 __attribute__((vector_size(4)));
typedef std::uint32_t U4 __attribute__((vector_size(16)));
typedef std::uint32_t U8 __attribute__((vector_size(32)));
typedef std::uint32_t U16 __attribute__((vector_size(64)));

#if defined(__AVX512F__)
using Widest = F16;
#else
using Widest = F8;
#endif

template <class V>
constexpr std::int64_t kLanes = sizeof(V) / sizeof(float);

template <class V>
struct Integers;
template <>
struct Integers<F1> {
  using Signed = I1;
  using Unsigned = U1;
};
template <>
struct Integers<F4> {
  using Signed = I4;
  using Unsigned = U4;
};
template <>
struct Integers<F8> {
  using Signed = I8;
  using Unsigned = U8;
};
template <>
struct Integers<F16> {
  using Signed = I16;
  using Unsigned = U16;
};

#define ASSAY_INLINE inline __attribute__((always_inline))

template <class V>
ASSAY_INLINE V load(const float* from) {
  V value;
  __builtin_memcpy(&value, from, sizeof(V));
  return value;
}

template <class V>
ASSAY_INLINE void store(float* to, V value) {
  __builtin_memcpy(to, &value, sizeof(V));
}

// The first `count` lanes, zeros behind them.
template <class V>
ASSAY_INLINE V load_part(const float* from, std::int64_t count) {
  V value{};
  __builtin_memcpy(&value, from, static_cast<unsigned long>(count) * sizeof(float));
  return value;
}

template <class V>
ASSAY_INLINE void store_part(float* to, V value, std::int64_t count) {
  __builtin_memcpy(to, &value, static_cast<unsigned long>(count) * sizeof(float));
}

template <class V>
ASSAY_INLINE V all(float value) {
  return value - V{};
}

// Keeps a NaN in `a`.
template <class V>
ASSAY_INLINE V larger_of(V a, V b) {
  return b > a ? b : a;
}

ASSAY_INLINE float sum_of(F4 v) { return (v[0] + v[2]) + (v[1] + v[3]); }
ASSAY_INLINE float sum_of(F8 v) {
  return sum_of(__builtin_shufflevector(v, v, 0, 1, 2, 3) +
                __builtin_shufflevector(v, v, 4, 5, 6, 7));
}
ASSAY_INLINE float sum_of(F16 v) {
  return sum_of(__builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
                __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15));
}

constexpr float kRound = 0x1.8p23f;  // a sum with it holds a whole number in its low bits

// 2^(n + f) for `shifted` = n + kRound, n in [-127, 127], and |f| <= 1/2, within 1 ulp; 0 for n =
// -127. 2^f by a polynomial of degree 6 with a relative error of 2^-25.9.
template <class V>
ASSAY_INLINE V power_of(V f, V shifted) {
  using Bits = typename Integers<V>::Unsigned;
  V p = all<V>(0x1.41fbbcp-13f);
  p = p * f + 0x1.5f3e54p-10f;
  p = p * f + 0x1.3b2d4cp-7f;
  p = p * f + 0x1.c6aee8p-5f;
  p = p * f + 0x1.ebfbdcp-3f;
  p = p * f + 0x1.62e430p-1f;
  p = p * f + 1.0f;
  Bits bits;
  __builtin_memcpy(&bits, &shifted, sizeof bits);
  bits = (bits << 23) + (127u << 23);
  V power;
  __builtin_memcpy(&power, &bits, sizeof power);
  return p * power;
}

// 2^x for x <= 127; 0 below -126.5, NaN for NaN.
template <class V>
ASSAY_INLINE V exp2_of(V x) {
  x = larger_of(x, all<V>(-127.0f));
  const V shifted = x + kRound;
  return power_of(x - (shifted - kRound), shifted);
}

constexpr float kLog2E = 0x1.715476p0f;

// e^x for x <= 87; 0 below -88, NaN for NaN.
template <class V>
ASSAY_INLINE V exp_of(V x) {
  constexpr float kHigh = 0x1.62e4p-1f;  // ln 2 in two parts, so that n * kHigh is exact
  constexpr float kLow = 0x1.7f7d1cp-20f;
  x = larger_of(x, all<V>(-88.0f));
  const V shifted = x * kLog2E + kRound;
  const V n = shifted - kRound;
  return power_of((x - n * kHigh - n * kLow) * kLog2E, shifted);
}

}  // namespace
}  // namespace assay::models::kernels::ASSAY_SIMD_LEVEL

#endif  // ASSAY_SIMD_LEVEL
