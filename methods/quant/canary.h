#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "harness/models/network.h"
#include "methods/quant/block_walk.h"

// What canaries share: a canary runs a method on a tiny network before a sweep trusts it.

namespace assay::quant {

// A randomly initialised network of a few thousand weights. family: "vit" (16 x 16 images, 5
// classes) or "opt" (32 tokens of context, a vocabulary of 64).
std::unique_ptr<models::Network> canary_network(const std::string& family);

// Random inputs for it: float [rows, 3, 16, 16], or int64 [rows, 32].
at::Tensor canary_inputs(const models::Network& network, std::int64_t rows);

// Throws Error(kMethod) "canary of METHOD: STATEMENT does not hold" unless `holds`.
void assert_canary(bool holds, const std::string& method, const std::string& statement);

// The tiny OPT network quantized block by block.
struct CanaryWalk {
  double error = 0;  // of the logits, relative
  QuantizedModel model;
  std::map<std::string, double> losses, first_losses;  // as of BlockWalkResult

  bool same_codes(const CanaryWalk& other) const;
};

CanaryWalk walk_canary(const std::function<BlockQuantizer(models::Network& network)>& quantizer_for,
                       const SequentialOptions& sequential);

// |a - b| / |b| of two tensors.
double relative_error(const at::Tensor& a, const at::Tensor& b);

}  // namespace assay::quant
