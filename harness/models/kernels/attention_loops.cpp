#include "harness/models/kernels/levels.h"
#include "harness/models/kernels/simd.h"

// Attention for heads of few channels, where packing operands for a matrix product costs more than
// the product. A vector holds one value each of consecutive queries, so that a softmax needs no sum
// across lanes; keys and values enter as broadcasts, read where they lie.

namespace assay::models::kernels::ASSAY_SIMD_LEVEL {
namespace {

// Four rows of four floats, transposed.
ASSAY_INLINE void transpose(F4& a, F4& b, F4& c, F4& d) {
  const F4 ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
  const F4 ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const F4 cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  const F4 cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  a = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
  b = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
  c = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
  d = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
}

// to[c * lanes + i] = row i's channel c, for `count` rows of the `lanes`; the others are zeros.
template <class V>
ASSAY_INLINE void gather_rows(const float* from, std::int64_t stride, std::int64_t count,
                              std::int64_t width, float* to) {
  constexpr std::int64_t lanes = kLanes<V>;
  for (std::int64_t i = 0; i < lanes; i += 4) {
    std::int64_t c = 0;
    if (i + 4 <= count) {
      const float* row = from + i * stride;
      for (; c + 4 <= width; c += 4) {
        F4 r0 = load<F4>(row + c);
        F4 r1 = load<F4>(row + stride + c);
        F4 r2 = load<F4>(row + 2 * stride + c);
        F4 r3 = load<F4>(row + 3 * stride + c);
        transpose(r0, r1, r2, r3);
        store(to + c * lanes + i, r0);
        store(to + (c + 1) * lanes + i, r1);
        store(to + (c + 2) * lanes + i, r2);
        store(to + (c + 3) * lanes + i, r3);
      }
    }
    for (; c < width; ++c)
      for (std::int64_t r = i; r < i + 4; ++r)
        to[c * lanes + r] = r < count ? from[r * stride + c] : 0.0f;
  }
}

// The other way round; rows from `count` on are left out.
template <class V>
ASSAY_INLINE void scatter_rows(const float* from, std::int64_t count, std::int64_t width, float* to,
                               std::int64_t stride) {
  constexpr std::int64_t lanes = kLanes<V>;
  for (std::int64_t i = 0; i < count; i += 4) {
    std::int64_t c = 0;
    if (i + 4 <= count) {
      float* row = to + i * stride;
      for (; c + 4 <= width; c += 4) {
        F4 c0 = load<F4>(from + c * lanes + i);
        F4 c1 = load<F4>(from + (c + 1) * lanes + i);
        F4 c2 = load<F4>(from + (c + 2) * lanes + i);
        F4 c3 = load<F4>(from + (c + 3) * lanes + i);
        transpose(c0, c1, c2, c3);
        store(row + c, c0);
        store(row + stride + c, c1);
        store(row + 2 * stride + c, c2);
        store(row + 3 * stride + c, c3);
      }
    }
    for (; c < width; ++c)
      for (std::int64_t r = i; r < i + 4 && r < count; ++r)
        to[r * stride + c] = from[c * lanes + r];
  }
}

// Logits of `Keys` keys: sums over channels of q * k.
template <class V, int Keys>
ASSAY_INLINE void logits_of(const float* q, const float* k, std::int64_t stride, std::int64_t width,
                            float* to) {
  V sum[Keys] = {};
  for (std::int64_t c = 0; c < width; ++c) {
    const V query = load<V>(q + c * kLanes<V>);
#pragma GCC unroll 16
    for (int u = 0; u < Keys; ++u) sum[u] += query * k[u * stride + c];
  }
#pragma GCC unroll 16
  for (int u = 0; u < Keys; ++u) store(to + u * kLanes<V>, sum[u]);
}

// Channels [0, Channels) of the output: sums over keys of p * v.
template <class V, int Channels>
ASSAY_INLINE void values_of(const float* p, const float* v, std::int64_t stride, std::int64_t keys,
                            V factor, float* to) {
  V sum[Channels] = {};
  for (std::int64_t j = 0; j < keys; ++j) {
    const V weight = load<V>(p + j * kLanes<V>);
    const float* value = v + j * stride;
#pragma GCC unroll 16
    for (int u = 0; u < Channels; ++u) sum[u] += weight * value[u];
  }
#pragma GCC unroll 16
  for (int u = 0; u < Channels; ++u) store(to + u * kLanes<V>, sum[u] * factor);
}

// Queries [first, first + count), count <= lanes.
template <class V>
ASSAY_INLINE void query_block(const AttentionHead& h, std::int64_t first, std::int64_t count) {
  constexpr std::int64_t lanes = kLanes<V>;
  using Signed = typename Integers<V>::Signed;
  float* q = h.scratch;                        // [width, lanes]
  float* out = h.scratch + h.width * lanes;    // [width, lanes]
  float* p = h.scratch + 2 * h.width * lanes;  // [keys, lanes]
  gather_rows<V>(h.q.data + first * h.q.stride, h.q.stride, count, h.width, q);
  const V scale = all<V>(h.scale * kLog2E);  // the softmax runs in base 2
  for (std::int64_t c = 0; c < h.width; ++c) store(q + c * lanes, load<V>(q + c * lanes) * scale);

  const std::int64_t past = h.keys - h.queries + first;  // with `causal`: keys all of them see, - 1
  const std::int64_t keys = h.causal ? past + count : h.keys;
  const float* k = h.k.data;
  std::int64_t j = 0;
  for (; j + 8 <= keys; j += 8)
    logits_of<V, 8>(q, k + j * h.k.stride, h.k.stride, h.width, p + j * lanes);
  for (; j < keys; ++j) logits_of<V, 1>(q, k + j * h.k.stride, h.k.stride, h.width, p + j * lanes);

  if (h.causal) {
    Signed lane;
    for (int i = 0; i < static_cast<int>(lanes); ++i) lane[i] = i;
    for (j = past + 1; j < keys; ++j) {
      const Signed sees = lane >= static_cast<std::int32_t>(j - past);
      store(p + j * lanes, sees ? load<V>(p + j * lanes) : all<V>(-__builtin_inff()));
    }
  }
  V most = load<V>(p);
  for (j = 1; j < keys; ++j) most = larger_of(most, load<V>(p + j * lanes));
  V sum{};
  for (j = 0; j < keys; ++j) {
    const V weight = exp2_of(load<V>(p + j * lanes) - most);
    sum += weight;
    store(p + j * lanes, weight);
  }

  const V factor = 1.0f / sum;
  std::int64_t c = 0;
#if defined(__AVX512F__)
  for (; c + 16 <= h.width; c += 16)
    values_of<V, 16>(p, h.v.data + c, h.v.stride, keys, factor, out + c * lanes);
#endif
  for (; c + 8 <= h.width; c += 8)
    values_of<V, 8>(p, h.v.data + c, h.v.stride, keys, factor, out + c * lanes);
  for (; c < h.width; ++c)
    values_of<V, 1>(p, h.v.data + c, h.v.stride, keys, factor, out + c * lanes);
  scatter_rows<V>(out, count, h.width, h.out + first * h.out_stride, h.out_stride);
}

}  // namespace

void attention_head(const AttentionHead& head) {
  std::int64_t first = 0;
  const auto left = [&] { return head.queries - first; };
#if defined(__AVX512F__)
  for (; left() > 8; first += 16) query_block<F16>(head, first, left() < 16 ? left() : 16);
#endif
  for (; left() > 4; first += 8) query_block<F8>(head, first, left() < 8 ? left() : 8);
  for (; left() > 0; first += 4) query_block<F4>(head, first, left() < 4 ? left() : 4);
}

}  // namespace assay::models::kernels::ASSAY_SIMD_LEVEL
