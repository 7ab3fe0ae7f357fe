#include "methods/quant/canary.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "methods/smoothquant/method.h"

namespace assay::smoothquant {

void canary() {
  const at::NoGradGuard no_gradients;
  const auto error_at = [](int bits, double alpha) {
    const std::unique_ptr<models::Network> network = quant::canary_network("opt");
    const at::Tensor tokens = quant::canary_inputs(*network, 16);
    const at::Tensor expected = network->forward(tokens);
    models::Untapped none;
    const Maxima maxima = channel_maxima(*network, tokens, none, {});
    const quant::QuantizedModel model =
        smooth(*network, maxima, {.alpha = alpha, .weight_bits = bits, .activation_bits = bits});
    bool moved = false;
    for (const auto& [layer, factors] : model.channel_scales) {
      moved = moved || (factors - 1).abs().max().item<double>() > 0.01;
    }
    quant::assert_canary(moved, "smoothquant", "channels are scaled");
    // Scaled already; rounded here.
    for (const auto& [name, layer] : model.layers) quant::apply_layer(name, layer, *network);
    quant::ActivationTap tap(model.activations);
    return quant::relative_error(network->forward(tokens, tap), expected);
  };
  quant::assert_canary(error_at(kFloatBits, 0.5) < 1e-5, "smoothquant",
                       "smoothing leaves the float network as it is");
  quant::assert_canary(error_at(15, 0.5) < 1e-2, "smoothquant", "15 bits are close to float");
  quant::assert_canary(error_at(4, 0.5) > error_at(8, 0.5), "smoothquant",
                       "8 bits are closer to float than 4");
}

}  // namespace assay::smoothquant
