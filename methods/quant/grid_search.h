#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "harness/base/enum_names.h"
#include "methods/quant/grid.h"

// How the range of an affine grid is chosen.

namespace assay::quant {

enum class Granularity { kTensor, kChannel, kGroup };

constexpr auto enum_names(Granularity) {
  return std::to_array<EnumName<Granularity>>({{Granularity::kTensor, "tensor"},
                                               {Granularity::kChannel, "channel"},
                                               {Granularity::kGroup, "group"}});
}

enum class RangeSearch {
  kMinMax,      // the full range, 0 included
  kFree,        // the full range, 0 not forced into it (AWQ)
  kPercentile,  // quantiles p and 1 - p, 0 included
  kMseGptq,     // 80 shrunk ranges, least sum |w - Q(w)|^2.4 (Frantar 2023, option `mse`)
  kMse,         // 100 shrunk ranges, zero point floor and ceil, same score (BoA's "MMSE")
  kHessian,     // 100 shrunk ranges, zero point floor and ceil, least dw H dw^T
};

constexpr auto enum_names(RangeSearch) {
  return std::to_array<EnumName<RangeSearch>>({{RangeSearch::kMinMax, "minmax"},
                                               {RangeSearch::kFree, "free"},
                                               {RangeSearch::kPercentile, "percentile"},
                                               {RangeSearch::kMseGptq, "mse_gptq"},
                                               {RangeSearch::kMse, "mse"},
                                               {RangeSearch::kHessian, "hessian"}});
}

// Throws Error(kConfig) unless above 0.5 and at most 1: the range of `percentile` lies between the
// quantiles 1 - percentile and percentile.
void require_percentile(double percentile);

struct GridOptions {
  int bits = 4;
  RangeSearch search = RangeSearch::kMinMax;
  Granularity granularity = Granularity::kChannel;
  std::int64_t group = -1;  // kGroup: columns per pair
  bool symmetric = false;   // zero = 2^(bits - 1), range [-m, m]; not with kFree
  // symmetric: [-m, m] also for a row without negative weights. The GPTQ release takes [0, m] there
  // and so clips the upper half of the row.
  bool mirror_positive = false;
  double percentile = 0.9999;
};

// Factors of the second moments that kHessian scores with, made once where several searches have
// the same: one of all columns, or one a group. Empty for other searches.
struct SearchFactors {
  std::vector<at::Tensor> of_group;  // [.. or 1, width, width] each, of energy_factor
};

// moments: [.., columns, columns]. Throws Error(kMethod) if they are not finite.
SearchFactors search_factors(const at::Tensor& moments, const GridOptions& options);

// weight: [.., rows, columns], float32 or float64, on the grid's arithmetic; factors or moments for
// kHessian. A row of zeros gets the range [-1, 1], so that no scale is 0; with kFree the range is
// at least 1e-5 wide. The zero point of kFree is clamped to the codes: of a row without 0 in its
// range the part that is farthest from 0 may clip. Of candidates with equal scores the first wins;
// the full range is the first, so no search scores worse than kMinMax under its own score. Throws
// Error(kMethod) if the weight holds NaN or infinities, Error(kConfig) for options that do not fit
// together, Error(kUnsupported) for a symmetric grid of 1 bit.
Grid find_grid(const at::Tensor& weight, const GridOptions& options, const SearchFactors& factors);
Grid find_grid(const at::Tensor& weight, const GridOptions& options,
               const at::Tensor& moments = {});

// scale = max(max|w|, 1e-5) / (2^(bits - 1) - 1), zero = 2^(bits - 1): nothing clips, and the
// lowest code stays unused (SmoothQuant). kChannel or kTensor. weight [rows, columns].
Grid absmax_grid(const at::Tensor& weight, int bits, Granularity granularity);

// Protocol P1 (PSAQ-ViT, FQ-ViT): per output channel, symmetric, scale = max|w| / ((2^bits - 1) /
// 2), at least 1.19e-7; the largest positive weight rounds to 2^(bits - 1) and clips. weight [rows,
// columns].
Grid p1_weight_grid(const at::Tensor& weight, int bits);

}  // namespace assay::quant
