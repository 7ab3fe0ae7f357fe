#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "datasets/chunks.h"
#include "harness/evaluate/progress.h"
#include "harness/evaluate/windows.h"
#include "harness/models/network.h"
#include "harness/models/tap.h"

// How large activations are, and how far the largest stand out: what a range has to cover, and what
// attention sinks do to it.

namespace assay::evaluate {

// One row a window, in text order; one column a unit.
struct ActivationRecords {
  at::Tensor input_max;     // float64 [n, units]: largest |x| of the unit's input
  at::Tensor input_top10;   // its 90 % quantile, by linear interpolation
  at::Tensor input_median;  // its median, likewise
  at::Tensor layer_max;     // largest |x| at the input of a linear layer of the unit
};

// Windows of one shard of `plan`, in the chunks of for_each_group(); of an added beginning of text
// too. Activations are taken before a quantizer of `tap` rounds them. Throws as require_fit(), and
// Error(kMethod) naming the unit whose activations are not finite.
ActivationRecords measure_activations(const models::Network& network, models::Tap& tap,
                                      const WindowedText& text, const datasets::ChunkPlan& plan,
                                      const Progress& progress = {});

// By unit: the largest over all windows of maxima, the mean over windows of the others.
struct ActivationSizes {
  std::vector<double> input_max, input_top10, input_median, layer_max;
};

// Throws Error(kData) if there is no window.
ActivationSizes summarise(const ActivationRecords& records);

}  // namespace assay::evaluate
