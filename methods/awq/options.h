#pragma once

#include <cstdint>

#include "harness/contract/bits.h"
#include "methods/quant/grid_search.h"

namespace assay::awq {

struct Options {
  int bits = kFloatBits;
  std::int64_t group = 128;  // input columns that share a grid and a clipping limit; -1: whole rows
  bool scale = true;         // channels
  std::int64_t ratios = 20;  // candidates i / ratios, i = 0 ..
  bool clip = true;          // weights
  std::int64_t clip_steps = 10;  // candidates 1 - (1 - clip_min) i / clip_steps, i = 0 ..
  double clip_min = 0.5;
};

// The convention `affine_free`: the full range, 0 not forced into it.
inline quant::GridOptions grid_of(const Options& options) {
  return {
      .bits = options.bits,
      .search = quant::RangeSearch::kFree,
      .granularity = options.group < 0 ? quant::Granularity::kChannel : quant::Granularity::kGroup,
      .group = options.group};
}

}  // namespace assay::awq
