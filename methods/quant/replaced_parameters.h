#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <utility>

#include "harness/models/network.h"

namespace assay::quant {

// Parameters of a network are others as long as this lives.
class ReplacedParameters {
 public:
  // By name. Borrows the network, which has all of them.
  ReplacedParameters(const models::Network& network,
                     const std::map<std::string, at::Tensor>& parameters)
      : network_(network) {
    for (const auto& [name, value] : parameters) {
      before_.emplace(name, std::exchange(network.parameters().at(name), value));
    }
  }
  ~ReplacedParameters() {
    for (const auto& [name, value] : before_) network_.parameters().at(name) = value;
  }
  ReplacedParameters(const ReplacedParameters&) = delete;
  ReplacedParameters& operator=(const ReplacedParameters&) = delete;

 private:
  const models::Network& network_;
  std::map<std::string, at::Tensor> before_;
};

}  // namespace assay::quant
