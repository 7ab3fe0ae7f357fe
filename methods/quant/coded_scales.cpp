#include "methods/quant/coded_scales.h"

#include <ATen/ATen.h>

#include "methods/quant/grid_search.h"

namespace assay::quant {

CodedScales coded_scales(const at::Tensor& scale) {
  CodedScales out{.mean = scale.mean(at::kDouble).to(scale.scalar_type()).reshape({1})};
  const at::Tensor centred = scale - out.mean;
  out.grid = find_grid(centred, {.bits = CodedScales::kBits,
                                 .granularity = Granularity::kGroup,
                                 .group = CodedScales::kRun,
                                 .symmetric = true,
                                 .mirror_positive = true});
  out.code = encode(centred, out.grid).to(at::kByte);
  // The scale itself is above 0 and at most half a step away, so one step is enough.
  out.code = at::where(decode(out) > 0, out.code, out.code + 1);
  return out;
}

at::Tensor decode(const CodedScales& scales) {
  return scales.mean + decode(scales.code, scales.grid);
}

std::int64_t storage_bits(const CodedScales& scales) {
  constexpr std::int64_t kConstantBits = 32;
  return scales.code.numel() * CodedScales::kBits +
         (scales.grid.scale.numel() + scales.mean.numel()) * kConstantBits;
}

}  // namespace assay::quant
