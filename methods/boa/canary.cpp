#include "methods/quant/canary.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "methods/boa/method.h"

namespace assay::boa {
namespace {

struct Trial {
  double error = 0;  // of the logits, relative
  quant::BlockWalkResult result;
};

Trial trial_at(int bits, double damping, bool rows) {
  const std::unique_ptr<models::Network> network = quant::canary_network("opt");
  const at::Tensor tokens = quant::canary_inputs(*network, 16);
  const at::Tensor expected = network->forward(tokens);
  const ModelOptions options{.layer = {.bits = bits, .damping = damping}};
  quant::SequentialOptions sequential = sequential_options(options);
  sequential.attention_rows = rows;
  Trial trial;
  trial.result = quant::quantize_blocks(
      *network, tokens, quant::two_sided_quantizer(*network, options.layer, options.value_rows),
      {.method = "boa", .sequential = sequential});
  trial.error = quant::relative_error(network->forward(tokens), expected);
  return trial;
}

}  // namespace

void canary() {
  const at::NoGradGuard no_gradients;
  const Trial boa = trial_at(3, 0.01, true);
  // Damping without bound makes the moments multiples of the identity: round to nearest.
  const Trial rounded = trial_at(3, 1e9, true);
  const Trial columns_only = trial_at(3, 0.01, false);
  quant::assert_canary(trial_at(15, 0.01, true).error < 1e-2, "boa", "15 bits are close to float");
  bool rows_matter = false;
  for (const auto& [name, layer] : boa.result.model.layers) {
    rows_matter = rows_matter || !layer.code.equal(columns_only.result.model.layers.at(name).code);
  }
  quant::assert_canary(rows_matter, "boa", "the moments of the rows matter");
  quant::assert_canary(boa.error < rounded.error, "boa", "it beats round to nearest");
}

}  // namespace assay::boa
