#pragma once

#include <cstdint>
#include <functional>

#include "methods/omniquant/options.h"
#include "methods/quant/block_walk.h"

namespace assay::omniquant {

// Told after every epoch of a unit (from 1) the mean loss of its steps, and as epoch 0 that of the
// unit as training finds it.
using Watch = std::function<void(std::int64_t unit, std::int64_t epoch, double loss)>;

// Trains clipping and transformation of a unit and rounds it. The walk needs
// SequentialOptions::upstream. Losses: of the whole unit over all sequences, before and after,
// under the name "blocks.<index>". Throws Error(kMethod) if they are not finite.
quant::UnitQuantizer unit_quantizer(models::Network& network, const Options& options,
                                    Watch watch = {});

}  // namespace assay::omniquant
