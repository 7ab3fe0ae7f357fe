#pragma once

#include "harness/models/kernels/loops.h"

// What a loops file defines in the namespace of each level.

namespace assay::models::kernels {

#define ASSAY_DECLARE_LOOPS(level)                                                             \
  namespace level {                                                                            \
  void attention_head(const AttentionHead& head);                                              \
  void layer_norm(const float* x, const float* weight, const float* bias, float* y, Rows rows, \
                  double eps);                                                                 \
  void rms_norm(const float* x, const float* weight, float* y, Rows rows, double eps);         \
  void swiglu(float* gate, const float* up, std::int64_t count);                               \
  void rotate(float* x, const float* cosine, const float* sine, std::int64_t tokens,           \
              std::int64_t heads, std::int64_t half);                                          \
  }

ASSAY_DECLARE_LOOPS(avx2)
ASSAY_DECLARE_LOOPS(avx512)

#undef ASSAY_DECLARE_LOOPS

}  // namespace assay::models::kernels
