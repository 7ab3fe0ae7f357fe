#pragma once

#include "harness/base/json.h"
#include "harness/models/network.h"
#include "methods/quant/quantized_parts.h"

namespace assay::quant {

// How every parameter of a network is stored, in the order of their names:
//   [{"name": "model.layers.0.mlp.up_proj.weight", "shape": [1536, 576], "state": "quantized",
//     "bits": 4.25, "as": "gptq: 4 bits, groups of 64"},
//    {"name": "model.norm.weight", "shape": [576], "state": "float", "bits": 16,
//     "as": "not a weight of a layer"}, ...]
// "bits" are those that a value needs, with scales and zero points. A float parameter is not
// necessarily the checkpoint's: methods train, rotate or scale some; one that the artifact of the
// last network replaces says by which. Running statistics are no parameters.
Json tensor_ledger(const models::Network& network, const QuantizedParts& parts);

}  // namespace assay::quant
