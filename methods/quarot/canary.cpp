#include "methods/quant/canary.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "methods/quarot/method.h"
#include "methods/quarot/rotation.h"
#include "methods/quarot/rounding.h"

namespace assay::quarot {
namespace {

// With a channel of the residual stream that is far larger than the others.
std::unique_ptr<models::Network> with_outliers() {
  std::unique_ptr<models::Network> network = quant::canary_network("opt");
  network->parameters().at("model.decoder.embed_positions.weight").select(1, 5).add_(2);
  return network;
}

// Relative error of the logits of the rotated or plain network, rounded.
double error_of(const models::Network& exact, models::Network& network, const Options& options) {
  const at::Tensor tokens = quant::canary_inputs(exact, 16);
  const std::unique_ptr<models::Tap> tap = apply(quantized(network, options), network);
  return quant::relative_error(network.forward(tokens, *tap), exact.forward(tokens));
}

double rotated_error(RotationKind kind, const Options& options) {
  const std::unique_ptr<models::Network> plain = with_outliers();
  const std::unique_ptr<models::Network> turned =
      rotated(*plain, Rotation(kind, residual_width(*plain), 3));
  return error_of(*plain, *turned, options);
}

Options all_at(int bits) {
  return {.weight_bits = bits, .activation_bits = bits, .cache_bits = bits};
}

}  // namespace

void canary() {
  const at::NoGradGuard no_gradients;
  for (const RotationKind kind : {RotationKind::kHadamard, RotationKind::kRandom}) {
    quant::assert_canary(rotated_error(kind, {}) < 1e-4, "quarot",
                         "a rotation leaves the float network as it is");
    quant::assert_canary(rotated_error(kind, all_at(15)) < 1e-2, "quarot",
                         "15 bits are close to float");
  }
  const std::unique_ptr<models::Network> exact = with_outliers(), rounded = with_outliers();
  quant::assert_canary(
      rotated_error(RotationKind::kHadamard, all_at(4)) < error_of(*exact, *rounded, all_at(4)),
      "quarot", "a rotated network with outliers is better at 4 bits");
}

}  // namespace assay::quarot
