#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "harness/contract/stage_context.h"
#include "harness/models/network.h"
#include "harness/models/tap.h"
#include "methods/quant/quantized_parts.h"

namespace assay::quant {

// The network that a method works on: the model, or what the methods before it made of it.
struct MethodNetwork {
  // A float network, of which nothing is quantized.
  MethodNetwork(std::unique_ptr<models::Network> float_network)  // NOLINT: as a network
      : network(std::move(float_network)), tap(std::make_shared<models::Untapped>()) {}

  std::unique_ptr<models::Network> network;  // the method's own, to be changed
  std::shared_ptr<models::Tap> tap;  // activation quantizers; every pass of the network calls it
  QuantizedParts before;
};

// Gives a fresh network, in the precision of the recipe.
using ModelLoader = std::function<MethodNetwork(StageContext&)>;

}  // namespace assay::quant
