#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "harness/models/network.h"

namespace assay::models {

// The smallest network with units: each is x + tanh(W x), and nothing surrounds them. Sites:
// "units.i.linear.in", "units.i.linear.out". Shapes [B, T, D].
class ChainNetwork : public Network {
 public:
  ChainNetwork(std::int64_t units, std::int64_t width, at::ScalarType dtype,
               std::int64_t seed = 7) {
    at::manual_seed(static_cast<std::uint64_t>(seed));
    weights_.resize(static_cast<std::size_t>(units));
    for (std::int64_t i = 0; i < units; ++i) {
      at::Tensor& weight = weights_[static_cast<std::size_t>(i)];
      weight = at::randn({width, width}, at::kDouble).to(dtype) * 0.3;
      parameters_.add(name(i) + ".weight", &weight);
    }
    info_.family = "chain";
    info_.outputs = width;
  }

  const NetworkInfo& info() const override { return info_; }
  const Json& configuration() const override { return configuration_; }
  at::Tensor embed(const at::Tensor& input, Tap&) const override { return input; }
  std::int64_t unit_count() const override { return static_cast<std::int64_t>(weights_.size()); }
  at::Tensor unit(std::int64_t index, const at::Tensor& hidden, Tap& tap) const override {
    const at::Tensor in = tap(name(index) + ".in", hidden);
    const at::Tensor out =
        tap(name(index) + ".out", at::matmul(in, weights_[static_cast<std::size_t>(index)].t()));
    return hidden + at::tanh(out);
  }
  at::Tensor head(const at::Tensor& hidden, Tap&) const override { return hidden; }
  std::vector<Layer> layers() const override {
    std::vector<Layer> out;
    for (std::int64_t i = 0; i < unit_count(); ++i) {
      out.push_back({.name = name(i),
                     .unit = i,
                     .input_site = name(i) + ".in",
                     .output_site = name(i) + ".out"});
    }
    return out;
  }
  std::vector<std::string> sites() const override {
    std::vector<std::string> out;
    for (const Layer& layer : layers()) out.push_back(layer.input_site);
    return out;
  }

  static std::string name(std::int64_t index) {
    return "units." + std::to_string(index) + ".linear";
  }

 private:
  NetworkInfo info_;
  Json configuration_ = Json::object();
  std::vector<at::Tensor> weights_;
};

}  // namespace assay::models
