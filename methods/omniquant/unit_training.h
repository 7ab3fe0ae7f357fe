#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "harness/models/network.h"
#include "methods/omniquant/clipping.h"
#include "methods/omniquant/options.h"
#include "methods/omniquant/transformation.h"
#include "methods/optimise/adamw.h"
#include "methods/quant/activation.h"
#include "methods/quant/quantized_model.h"
#include "methods/quant/sequential.h"

// The block-wise training of clipping and transformation. Source: Shao et al. 2024 (arXiv
// 2308.13137), section 3.1 and algorithm 1.

namespace assay::omniquant {

// Quantizers of a unit's activations, by site: the range of each token, at the inputs of the linear
// layers and, with `quantize_bmm`, at the factors of the attention's products.
std::map<std::string, quant::ActivationQuantizer, std::less<>> quantizers_of(
    const models::Network& network, std::int64_t unit, const Options& options);

class UnitTraining {
 public:
  // Borrows network and inputs, which hold those of the float network and what it makes of them.
  UnitTraining(const models::Network& network, const quant::UnitInputs& inputs,
               const Options& options);

  // Mean square over all sequences of the unit's output less the float unit's on the float
  // network's inputs; with `augment_loss` plus that less the float unit's on the same inputs.
  double loss() const;

  // One update for every `batch` sequences, in their order. Returns the mean of the losses before
  // the updates. Throws Error(kMethod) if one is not finite.
  double epoch();

  // Codes, grids, transformed parameters and quantizers of activations, as they are now.
  quant::QuantizedModel model() const;

 private:
  std::vector<optimise::Trainable> start_transformation();
  std::vector<optimise::Trainable> start_clipping();
  Parameters rounded_parameters() const;  // gradients reach what is trained
  quant::Grid grid_of(const std::string& layer, const at::Tensor& weight) const;
  at::Tensor rows(const std::vector<at::Tensor>& by_chunk, std::int64_t first,
                  std::int64_t count) const;
  double step(std::int64_t first, std::int64_t count);

  const models::Network& network_;
  const quant::UnitInputs& inputs_;
  Options options_;
  std::vector<models::Layer> layers_;
  Parameters float_parameters_;
  Transformation transformation_;
  std::map<std::string, Clipping> clipping_;  // by layer; empty: none is learned
  std::map<std::string, quant::ActivationQuantizer, std::less<>> quantizers_;
  std::vector<at::Tensor> own_outputs_;  // of the float unit on the same inputs; with augment_loss
  optimise::AdamW let_, lwc_;
};

}  // namespace assay::omniquant
