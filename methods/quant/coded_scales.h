#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "methods/quant/grid.h"

// Scales that are quantized themselves. Source: QLoRA (Dettmers et al. 2023, arXiv 2305.14314),
// "double quantization".

namespace assay::quant {

// Scale i is mean + value i of the codes: 8 bits a scale on symmetric grids of runs of 256.
struct CodedScales {
  static constexpr int kBits = 8;
  static constexpr std::int64_t kRun = 256;

  at::Tensor code;  // uint8 [1, scales]
  Grid grid;        // symmetric, of kBits and kRun
  at::Tensor mean;  // floating [1], of the dtype of the grid
};

// scale: floating [1, n], > 0. Every coded scale is above 0, too: where the nearest code stands for
// less, the next one is taken.
CodedScales coded_scales(const at::Tensor& scale);

at::Tensor decode(const CodedScales& scales);  // [1, n]

// 8 bits a scale, 32 bits a run and for the mean.
std::int64_t storage_bits(const CodedScales& scales);

}  // namespace assay::quant
