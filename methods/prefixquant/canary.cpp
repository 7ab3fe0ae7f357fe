#include "methods/quant/canary.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "methods/prefixquant/method.h"
#include "methods/prefixquant/outliers.h"

namespace assay::prefixquant {

void canary() {
  const at::NoGradGuard no_gradients;
  const std::unique_ptr<models::Network> network = quant::canary_network("opt");
  const at::Tensor texts = quant::canary_inputs(*network, 8);
  const Outliers none = find_outliers(*network, texts, 64);
  quant::assert_canary(*std::max_element(none.per_text.begin(), none.per_text.end()) == 0,
                       "prefixquant", "a network without sinks has no outliers");
  // One token lifts a channel of the first MLP wherever it stands, and no other token does.
  constexpr std::int64_t kToken = 11;
  at::Tensor& embedding = network->parameters().at("model.decoder.embed_tokens.weight");
  at::Tensor planted = embedding.clone();
  planted[kToken] = at::where(at::arange(planted.size(1)).remainder(2).eq(0), 50.0, -50.0);
  embedding = planted;
  at::Tensor& fc1 = network->parameters().at("model.decoder.layers.0.fc1.weight");
  at::Tensor reads = fc1.clone();
  reads[0] = at::where(at::arange(planted.size(1)).remainder(2).eq(0), 1000.0, -1000.0);
  fc1 = reads;
  at::Tensor& bias = network->parameters().at("model.decoder.layers.0.fc1.bias");
  at::Tensor silent = bias.clone();
  silent[0] = -28000;
  bias = silent;
  const Outliers found = find_outliers(*network, texts, 64);
  quant::assert_canary(found.ids.contains(kToken), "prefixquant", "a planted outlier is found");
}

}  // namespace assay::prefixquant
