#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "harness/models/network.h"
#include "methods/quant/activation.h"
#include "methods/quant/coded_scales.h"
#include "methods/quant/grid.h"

// A quantized model as an artifact: codes and grids of its weights, quantizers of its activations.
// The folder holds
//   codes.safetensors   <layer>.code  uint8 (int32 above 8 bits) [rows, columns], convolutions
//                                     flattened
//                       <layer>.scale, <layer>.zero  float32 (float64 for a float64 network) [rows
//                                     or 1, groups]
//                       <layer>.levels  as scale [2^bits], of a grid with a table of levels: it has
//                                     no zero, and scale is [1, blocks]
//                       <layer>.scale_code, .scale_step, .scale_mean  instead of scale, where
//                                     scales are quantized themselves (CodedScales)
//                       <layer>.perm  int32 [columns], where groups are runs of permuted columns
//                       <layer>.channel_scale  floating [columns], of a group of layers by its
//                                     first (models::ScaleGroup)
//                       <parameter>   floating, of a norm or a bias that took up scales and shifts
//   prefix.safetensors  where there is a prefix: key_values, floating [units, 2, kv_heads, m,
//                       head_dim], keys turned to positions 0 .. m - 1
//   quantization.json   {"format": 1, "method", "layers": {name: {"bits", "group", "symmetric"}},
//                       "activations": {site: {...}}, "scaled": [layer], "parameters": [name],
//                       "prefix": m, "storage": {...}}
// Fake-quantized weights are not stored: scale (code - zero), (scale zeta) (code - zero), or scale
// levels[code] gives them back exactly.

namespace assay::quant {

struct QuantizedLayer {
  at::Tensor code;  // [rows, columns], whole numbers
  Grid grid;
  std::optional<CodedScales> scales = {};  // what grid.scale is decoded from; only with levels
};

struct QuantizedModel {
  std::string method;
  std::map<std::string, QuantizedLayer> layers;  // by layer name, without ".weight"
  std::map<std::string, ActivationQuantizer, std::less<>> activations;  // by site
  // Of groups of layers, by their first: the factor of every column of their float weights.
  std::map<std::string, at::Tensor> channel_scales = {};
  // By name: float parameters that take the place of the network's (norms and biases).
  std::map<std::string, at::Tensor> parameters = {};
  models::Prefix prefix = {};
};

// Bits that quantized weights need: codes, a 16-bit scale and, where the grid is not symmetric, a
// zero point of `bits` bits a pair (32 in a layer that has one which is no code), 32 bits a
// permuted column, 16 bits a zeta, 32 bits a level; scales that are quantized themselves as
// storage_bits() says.
struct StorageCost {
  std::int64_t weights = 0;
  std::int64_t bits = 0;

  double bits_per_weight() const {
    return weights == 0 ? 0 : static_cast<double>(bits) / static_cast<double>(weights);
  }
};

StorageCost storage_cost(const QuantizedLayer& layer);
StorageCost storage_cost(const QuantizedModel& model);  // of all its layers

// Writes the files into an existing folder.
void save_quantized(const std::filesystem::path& folder, const QuantizedModel& model);

// Maps codes.safetensors: codes must not be changed in place. Throws Error(kData) naming file,
// layer or site, and what is wrong.
QuantizedModel load_quantized(const std::filesystem::path& folder);

// Lets go of the pages of a layer that lies in a file; they are read again when it is decoded.
void drop_pages(const QuantizedLayer& layer);

// Scales channels, replaces parameters, and weights of `network` by the fake-quantized ones, gives
// it the prefix if there is one, and returns the tap with the activation quantizers (one that
// changes nothing if there are none). Throws Error(kData) for a layer, a parameter or a prefix that
// does not fit the network.
std::unique_ptr<models::Tap> apply(const QuantizedModel& model, models::Network& network);
std::unique_ptr<models::Tap> apply_quantized(models::Network& network,
                                             const std::filesystem::path& folder);

// Puts one layer's fake-quantized weight into the network; a weight that may be deferred is decoded
// whenever it is needed.
void apply_layer(const std::string& name, const QuantizedLayer& layer, models::Network& network);

// Puts parameters into the network by their names. Throws Error(kData) for one that it lacks or
// that has another shape.
void replace_parameters(const std::map<std::string, at::Tensor>& parameters,
                        models::Network& network);

// W[:, j] *= s_j in the layers of the group, and 1 / s_j in the rows of what stands before it.
// Throws Error(kData) for factors that are not one above 0 a column.
void scale_channels(const models::ScaleGroup& group, const at::Tensor& factors,
                    models::Network& network);

// Rounds a weight on a grid: [out, in] or a convolution.
QuantizedLayer quantized_layer(const at::Tensor& weight, Grid grid);

}  // namespace assay::quant
