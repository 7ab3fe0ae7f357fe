#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "harness/base/json.h"

namespace assay::models {

// Rotary position embedding in the half-split layout: channel j of a head turns together with
// channel j + d/2 by the angle position * frequency[j] (Su et al. 2021; layout of Hugging Face).
class Rotary {
 public:
  // `width`: channels of a head, even. `scaling`: null, or the rope_scaling object of config.json
  // with type "default", "linear" or "llama3". Throws Error(kUnsupported) for another type,
  // Error(kConfig) for a missing or impossible factor.
  Rotary(std::int64_t width, double base, const Json& scaling);

  // x: [B, T, H, width] at positions `first` .. first + T - 1; the same shape, in place where
  // nobody else sees x.
  at::Tensor operator()(at::Tensor x, std::int64_t first = 0) const;

  const std::vector<double>& frequencies() const { return frequencies_; }  // radians per position

 private:
  void extend(std::int64_t length, const at::Tensor& like) const;

  std::vector<double> frequencies_;
  // Tables [length, 1, width / 2], contiguous, of the last type asked for; angles are computed in
  // float64.
  mutable at::Tensor cosine_, sine_;
};

}  // namespace assay::models
