#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "harness/models/network.h"

// Tokens whose activations stand out. Source: Chen et al. 2024 (arXiv 2410.05265), section 4.

namespace assay::prefixquant {

struct Outliers {
  std::vector<double> per_text;  // by unit: outlier tokens of a text, the mean over texts
  std::map<std::int64_t, std::int64_t> ids;  // how often each id is one, at positions other than 0
  std::int64_t texts = 0;
};

// texts: int64 [n, T]. A token is an outlier of a unit if the largest |x| of its row at the input
// of the unit's last layer is more than `threshold` times the median of the text's rows (the lower
// one of two in the middle).
Outliers find_outliers(const models::Network& network, const at::Tensor& texts, double threshold,
                       const std::function<void(std::int64_t, std::int64_t)>& progress = {});

// The most frequent ids, as many as the unit with most outliers has in a text (rounded up), the
// smaller id first among equals, then `bos`. A single id that less than a tenth of the texts hold
// is left out.
std::vector<std::int64_t> prefix_tokens(const Outliers& outliers, std::int64_t bos);

}  // namespace assay::prefixquant
