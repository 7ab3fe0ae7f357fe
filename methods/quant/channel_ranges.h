#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "harness/models/network.h"
#include "harness/models/tap.h"
#include "methods/quant/chunk.h"

// What the channels of activations hold, for methods that scale or shift them.

namespace assay::quant {

struct ChannelRange {
  at::Tensor largest;  // of |x|, [channels]
  // (max + min) / 2 of the first sequence, moved by 1 % towards that of each later one (release of
  // OmniQuant); [channels], or undefined
  at::Tensor middle;
};

using ChannelRanges = std::map<std::string, ChannelRange, std::less<>>;  // by site

// Observes activations [samples, .., channels] at its sites.
class ChannelRangeTap : public models::Tap {
 public:
  explicit ChannelRangeTap(const std::vector<std::string>& sites, bool middles = false);

  // The chunk that the coming pass computes.
  void begin(const Chunk* chunk) { chunk_ = chunk; }
  at::Tensor operator()(std::string_view site, const at::Tensor& value) override;

  // Throws Error(kMethod) naming a site that was not reached, or held NaN or infinities.
  const ChannelRanges& ranges() const;

 private:
  ChannelRanges ranges_;
  bool middles_;
  const Chunk* chunk_ = nullptr;
};

// SmoothQuant's s_j = max(a_j^alpha / w_j^(1 - alpha), 1e-5) (Xiao et al. 2023, equation 4): a_j
// the largest |x_j| of the inputs, w_j that of column j over the weights of the group, at least
// 1e-5.
at::Tensor smoothing_factors(const models::Network& network, const models::ScaleGroup& group,
                             const at::Tensor& largest_inputs, double alpha);

}  // namespace assay::quant
