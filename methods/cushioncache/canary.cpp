#include "methods/quant/canary.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "harness/models/generation.h"
#include "methods/cushioncache/method.h"
#include "methods/cushioncache/search.h"
#include "methods/cushioncache/tuning.h"

namespace assay::cushioncache {
namespace {

// A large value in one channel of the first position, which a token in front of the text takes.
std::unique_ptr<models::Network> network_with_sink() {
  std::unique_ptr<models::Network> network = quant::canary_network("opt");
  at::Tensor& positions = network->parameters().at("model.decoder.embed_positions.weight");
  at::Tensor planted = positions.clone();
  planted[2][5].add_(100);
  positions = planted;
  return network;
}

}  // namespace

void canary() {
  const at::NoGradGuard no_gradients;
  const std::unique_ptr<models::Network> network = network_with_sink();
  const at::Tensor texts = quant::canary_inputs(*network, 4).narrow(1, 0, 24);
  SearchOptions options{.max_prefix = 4};
  options.candidates = frequent_ids(texts, network->info().outputs, 8);
  const SearchState found = search(*network, texts, options);
  quant::assert_canary(found.steps.size() == 1, "cushioncache",
                       "one token takes a planted sink, and the search stops");
  quant::assert_canary(found.steps[0].after < 0.5 * found.steps[0].before, "cushioncache",
                       "the token halves the quantization error");

  network->set_prefix({});
  network->set_prefix(
      models::prefix_of(*network, at::tensor(tokens_of(options, found), at::kLong)));
  Tuner tuner(*network, texts, {.lambda = 0, .epochs = 8, .learning_rate = 1e-2, .batch = 4});
  const double before = tuner.step().prediction;
  Losses last;
  while (tuner.steps_done() < tuner.total_steps()) last = tuner.step();
  quant::assert_canary(last.prediction < before, "cushioncache",
                       "tuning lowers the prediction loss of its own texts");
}

}  // namespace assay::cushioncache
