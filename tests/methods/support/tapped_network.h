#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "harness/models/network.h"
#include "methods/quant/tap_sequence.h"

namespace assay::models {

// A network with a tap built in: what is quantized already, as if the family had been written so.
// Borrows both.
class TappedNetwork : public Network {
 public:
  TappedNetwork(Network& inner, Tap& own) : inner_(inner), own_(own) {
    for (const auto& [name, slot] : inner.parameters().slots()) parameters_.add(name, slot);
    for (const auto& [name, slot] : inner.buffers().slots()) buffers_.add(name, slot);
  }

  const NetworkInfo& info() const override { return inner_.info(); }
  const Json& configuration() const override { return inner_.configuration(); }
  at::Tensor embed(const at::Tensor& input, Tap& tap) const override {
    quant::TapSequence both(own_, tap);
    return inner_.embed(input, both);
  }
  std::int64_t unit_count() const override { return inner_.unit_count(); }
  at::Tensor unit(std::int64_t index, const at::Tensor& hidden, Tap& tap) const override {
    quant::TapSequence both(own_, tap);
    return inner_.unit(index, hidden, both);
  }
  at::Tensor head(const at::Tensor& hidden, Tap& tap) const override {
    quant::TapSequence both(own_, tap);
    return inner_.head(hidden, both);
  }
  at::Tensor forward(const at::Tensor& input, Tap& tap) const override {
    quant::TapSequence both(own_, tap);
    return inner_.forward(input, both);
  }
  std::vector<Layer> layers() const override { return inner_.layers(); }
  std::vector<std::string> sites() const override { return inner_.sites(); }

 private:
  Network& inner_;
  Tap& own_;
};

}  // namespace assay::models
