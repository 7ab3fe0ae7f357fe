#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "harness/models/network.h"

namespace assay::quant {

// What a unit makes of `hidden` at one of its sites, behind `own`. What it would compute after the
// site is not computed: the attention's output costs no MLP. Throws Error(kMethod) if the unit does
// not reach the site.
at::Tensor site_value(const models::Network& network, std::int64_t unit, const at::Tensor& hidden,
                      const std::string& site, models::Tap& own);

}  // namespace assay::quant
