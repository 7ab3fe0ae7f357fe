#include "methods/quant/canary.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "methods/psaq_vit/method.h"
#include "methods/psaq_vit/synthesis.h"

namespace assay::psaq_vit {
namespace {

SynthesisState images_of(const models::Network& network, std::uint64_t seed, std::int64_t steps) {
  const Synthesizer synthesizer(network, {.images = 4, .rounds = 1, .steps = steps, .seed = seed});
  SynthesisState state = synthesizer.start();
  while (state.iterations < synthesizer.total_iterations()) synthesizer.step(state);
  return state;
}

}  // namespace

void canary() {
  const std::unique_ptr<models::Network> network = quant::canary_network("vit");
  const Synthesizer synthesizer(*network, {.images = 4});
  constexpr std::int64_t kSome = 10, kEnough = 100;
  const SynthesisState noise = synthesizer.start(), some = images_of(*network, 0, kSome),
                       made = images_of(*network, 0, kEnough);
  quant::assert_canary(some.images.equal(images_of(*network, 0, kSome).images), "psaq_vit",
                       "the same seed gives the same images");
  quant::assert_canary(!some.images.equal(images_of(*network, 1, kSome).images), "psaq_vit",
                       "another seed gives other images");
  quant::assert_canary(synthesizer.losses(made.images, noise, nullptr).entropy <
                           synthesizer.losses(noise.images, noise, nullptr).entropy,
                       "psaq_vit", "the patch-similarity entropy rises above that of noise");
  const at::NoGradGuard no_gradients;
  const at::Tensor expected = network->forward(made.images);
  const quant::Ranges ranges = quant::observe(*network, {made.images, 4}, network->sites(), {});
  const std::unique_ptr<models::Tap> tap = apply(p1_model(*network, ranges, 15, 15), *network);
  quant::assert_canary(quant::relative_error(network->forward(made.images, *tap), expected) < 1e-2,
                       "psaq_vit", "15 bits are close to float");
}

}  // namespace assay::psaq_vit
