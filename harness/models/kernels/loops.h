#pragma once

#include <cstdint>

// The loops of this folder as plain functions on float32 memory. Each is compiled for several
// levels of processor; `loops()` gives those that fit this one. They run on the calling thread and
// depend on nothing but their arguments; levels differ in their low bits, as ATen's do.

namespace assay::models::kernels {

// Rows of one head: row i begins at data + i * stride; channels lie side by side.
struct HeadRows {
  const float* data;
  std::int64_t stride;  // floats
};

// One head of attention: out = softmax(q k^T * scale) v, with the largest logit of a row subtracted
// before the exponential. `causal`: row i of q sees the first i + 1 + (keys - queries) rows of k
// and v. NaN and infinite logits give rows of NaN, never a trap.
struct AttentionHead {
  HeadRows q, k, v;
  float* out;               // row i at out + i * out_stride
  std::int64_t out_stride;  // floats
  std::int64_t queries, keys, width;
  float scale;
  bool causal;     // needs keys >= queries
  float* scratch;  // attention_scratch(keys, width) floats
};

constexpr std::int64_t attention_scratch(std::int64_t keys, std::int64_t width) {
  return 16 * (keys + 2 * width);
}

// A matrix of floats, row after row.
struct Rows {
  std::int64_t count, width;
};

struct Loops {
  void (*attention_head)(const AttentionHead& head);

  // y[r] = (x[r] - mean) / sqrt(variance + eps) * weight + bias. x and y: [rows].
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float* y, Rows rows,
                     double eps);

  // y[r] = x[r] / sqrt(mean x[r]^2 + eps) * weight. y may be x.
  void (*rms_norm)(const float* x, const float* weight, float* y, Rows rows, double eps);

  // gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i]
  void (*swiglu)(float* gate, const float* up, std::int64_t count);

  // x: [tokens, heads, 2 half], turned in place by cosine and sine [tokens, half] of a token:
  // (a, b) -> (a c - b s, b c + a s) with a the first half of a head and b the second.
  void (*rotate)(float* x, const float* cosine, const float* sine, std::int64_t tokens,
                 std::int64_t heads, std::int64_t half);
};

// The loops of the level that ATen runs at (at::get_cpu_capability: AVX2 or AVX512); null at
// others.
const Loops* loops();

}  // namespace assay::models::kernels
