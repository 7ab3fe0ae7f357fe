#pragma once

#include "methods/awq/options.h"
#include "methods/quant/block_walk.h"

namespace assay::awq {

// Quantizes a unit: searches the scales of all its groups on the float unit, scales the channels in
// `network`, clips every weight but those of queries and keys, and rounds. Losses: squared error of
// a layer's output a token, its channels scaled, over every (tokens / 512)-th token.
quant::UnitQuantizer unit_quantizer(models::Network& network, const Options& options);

}  // namespace assay::awq
