#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "harness/models/tap.h"

namespace assay::quant {

// Taps one after the other: each sees what those before it made of an activation. An observer of a
// network that is quantized already stands behind its quantizers.
class TapSequence : public models::Tap {
 public:
  explicit TapSequence(std::vector<std::shared_ptr<models::Tap>> taps) : taps_(std::move(taps)) {}

  // Borrows both.
  TapSequence(models::Tap& first, models::Tap& second)
      : TapSequence({borrowed(first), borrowed(second)}) {}

  at::Tensor operator()(std::string_view site, const at::Tensor& value) override {
    at::Tensor out = value;
    for (const auto& tap : taps_) out = (*tap)(site, out);
    return out;
  }
  bool passive() const override {
    return std::all_of(taps_.begin(), taps_.end(), [](const auto& tap) { return tap->passive(); });
  }
  bool wants(std::string_view site) const override {
    return std::any_of(taps_.begin(), taps_.end(),
                       [&](const auto& tap) { return tap->wants(site); });
  }

 private:
  static std::shared_ptr<models::Tap> borrowed(models::Tap& tap) {
    return std::shared_ptr<models::Tap>(std::shared_ptr<void>(), &tap);
  }

  std::vector<std::shared_ptr<models::Tap>> taps_;
};

}  // namespace assay::quant
