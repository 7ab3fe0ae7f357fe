#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>

#include "harness/contract/bits.h"
#include "harness/models/network.h"
#include "methods/quant/quantized_model.h"

// NormalFloat of 4 bits. Source: QLoRA (Dettmers et al. 2023, arXiv 2305.14314), section 3 and
// appendix E.

namespace assay::nf4 {

inline constexpr int kBits = 4;

struct Options {
  int weight_bits = kFloatBits;  // kBits, or kFloatBits: nothing is rounded
  std::int64_t block = 64;       // weights per scale, in row-major order
  bool double_quantization = false;
};

// The 16 levels [16], ascending from -1 to 1: quantiles of a normal distribution, with an exact 0.
at::Tensor levels(at::ScalarType type);

// scale = max |w| of each block, 1 of a block of zeros (with double quantization the mean of the
// others, which no code of zeros depends on). weight: floating [out, in] or a convolution, which is
// flattened. Throws Error(kMethod) if it holds NaN or infinities.
quant::QuantizedLayer rounded(const at::Tensor& weight, const Options& options);

// Every layer of a vision model, those of the blocks of a language model. `scratch`: of finished
// layers (quant::FinishedLayers).
quant::QuantizedModel rounded(const models::Network& network, const Options& options,
                              const std::filesystem::path& scratch = {});

}  // namespace assay::nf4
