#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>

namespace assay::models {

// A network calls its tap at every activation that a method may look at or change: x =
// tap("blocks.3.attn.qkv.in", x). The default returns its argument. Observers, recorders, fake
// quantizers and their compositions are taps. Site names: docs/guides/networks.md.
class Tap {
 public:
  virtual ~Tap() = default;

  // Called once per site and forward pass; the result replaces the activation.
  virtual at::Tensor operator()(std::string_view site, const at::Tensor& value) {
    (void)site;
    return value;
  }

  // Whether every call returns its argument and does nothing else, so that a network may leave out
  // activations that its result does not need.
  virtual bool passive() const { return false; }

  // Whether a tensor that only the tap needs (attention probabilities, pre-softmax logits) must be
  // computed.
  virtual bool wants(std::string_view site) const {
    (void)site;
    return false;
  }
};

// Nobody looks.
class Untapped final : public Tap {
 public:
  bool passive() const override { return true; }
};

}  // namespace assay::models
