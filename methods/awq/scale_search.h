#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "harness/models/network.h"
#include "methods/awq/options.h"
#include "methods/awq/statistics.h"
#include "methods/quant/sequential.h"

// The search for channel scales. Source: Lin et al. 2024 (arXiv 2306.00978), section 3.2.

namespace assay::awq {

// s_j = max(x_j^ratio, 1e-4), divided by sqrt(max s min s). x: the mean |x_j| of every channel;
// floating [channels]. A ratio of 0 gives 1.
at::Tensor channel_scales(const at::Tensor& mean_sizes, double ratio);

// Whether it is one layer, which is then inspected by itself.
inline bool scales_alone(const models::ScaleGroup& group) { return group.layers.size() == 1; }

struct ScaleChoice {
  at::Tensor factors;          // floating [channels]
  std::vector<double> errors;  // of every ratio, in order
};

// The scales of the ratio whose rounded weights Q(W diag(s)) diag(s)^-1 move the outputs of what is
// inspected the least (mean square over the calibration tokens; of equals the first), while all
// other weights are float. Inspected is a layer that scales alone by itself, the projections of
// an attention by its output, other layers by the output of the unit's last one. The group's
// weights in `network` are others meanwhile, also where `inputs` stops the search they come back.
// Throws Error(kMethod) if no error is finite.
ScaleChoice search_scales(const models::Network& network, const quant::UnitInputs& inputs,
                          const models::ScaleGroup& group, const InputStatistics& statistics,
                          const Options& options);

}  // namespace assay::awq
