#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <set>
#include <string>

#include "harness/models/network.h"
#include "harness/models/tap.h"

namespace assay::quant {

using SiteNames = std::set<std::string, std::less<>>;

// A pass of one unit that ends as soon as `tap` has seen every one of these sites: what stands
// behind them, for instance the product of the last layer, is not computed. `hidden` is the unit's
// input.
void pass_until_seen(const SiteNames& sites, const models::Network& network, std::int64_t unit,
                     const at::Tensor& hidden, models::Tap& tap);

}  // namespace assay::quant
