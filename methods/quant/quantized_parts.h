#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "harness/base/json.h"
#include "harness/contract/catalogue.h"
#include "harness/models/network.h"
#include "methods/quant/quantized_model.h"

// What of a network is quantized, by all methods of a trial together, and what a quantizing stage
// says of it.

namespace assay::quant {

struct QuantizedPart {
  StorageCost cost;
  std::string as;  // "gptq: 4 bits, groups of 64"
};

struct QuantizedParts {
  std::map<std::string, QuantizedPart> layers;  // by layer name; those that are not here are float
  std::map<std::string, std::vector<RoundingOrder>> sites;  // one a method, in their order
  std::map<std::string, std::string> replaced;  // by float parameter: "replaced by quarot"
  std::int64_t prefix = 0;  // tokens of the prefix that stands before every sequence

  // The weights that a method quantizes take the place of what a method before it made of them. An
  // activation is rounded by both, one after the other.
  void add(const QuantizedModel& model);
};

// Figures of a network, for MethodDeclaration::values:
//   bits_per_weight  mean over the weights of all quantizable layers, with scales, zero points,
//                    permutations and zetas; a layer that is float counts 16 bits
//   weight_bytes     all parameters: quantized layers as they need it, 2 bytes a value for the rest
//   float_layers     quantizable layers that are float
//   prefix_tokens    length of the prefix, of methods that give one and of those behind them
std::vector<MetricValue> network_values();
// The same of methods that give the network a prefix, with prefix_tokens.
std::vector<MetricValue> network_values_with_prefix();

// Result of a stage that makes a quantized network: {"metrics": network_values(), "quantization":
// ..., "tensors": tensor_ledger()}. `made` is what the stage itself quantized, `before` what the
// methods before it did. "quantization" is the protocol that figures of the network stand under, by
// which boards tell unlike rows apart (docs/guides/evaluation.md):
//   {"weights": null | {"layers": 16, "digest", "float_layers": ["head", ...]},
//    "activations": null | {"sites": 127, "digest", "rounding": ["round(x/s) + z"]}}
//   (of a site that two methods round "round(x/s + z), then round(x/s) + z")
// Digests are of the sorted names; at most 8 float layers are named.
Json quantization_result(const models::Network& network, const QuantizedParts& before,
                         const QuantizedModel& made);

}  // namespace assay::quant
