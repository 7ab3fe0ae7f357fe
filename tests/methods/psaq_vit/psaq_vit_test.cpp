#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/base/atomic_file.h"
#include "methods/psaq_vit/method.h"
#include "methods/psaq_vit/synthesis.h"
#include "methods/quant/canary.h"
#include "tests/methods/support/method_parameters.h"
#include "tests/support/fake_context.h"
#include "tests/support/refusal.h"

namespace assay::psaq_vit {
namespace {

using assay::testing::refusal;
using ::testing::HasSubstr;

std::unique_ptr<models::Network> vit(StageContext&) { return quant::canary_network("vit"); }

Json small(int weight_bits = 8, int activation_bits = 8) {
  return parameters_of(psaq_vit_method().declaration, {{"images", 3}, {"rounds", 2}, {"steps", 40}},
                       weight_bits, activation_bits);
}

std::string images(FakeContext& context) {
  return read_file(context.output() / "images.safetensors");
}

TEST(PsaqVit, canary) { canary(); }

TEST(PsaqVit, schedule_of_the_paper) {  // PS-T6
  const SynthesisOptions options;
  for (const auto& [iteration, rate] : std::vector<std::pair<std::int64_t, double>>{
           {0, 0.002}, {49, 0.1}, {99, 0.2}, {100, 0.2}, {300, 0.1}}) {
    EXPECT_NEAR(learning_rate(options, iteration), rate, 1e-12);
  }
  EXPECT_NEAR(learning_rate(options, 499), 3.084e-6, 1e-9);
  EXPECT_EQ(jitter_limit(224, 0), 15);
  EXPECT_EQ(jitter_limit(224, 1), 30);
}

TEST(PsaqVit, pixels_stay_in_range_and_parameters_get_no_gradient) {  // PS-T11
  const std::unique_ptr<models::Network> network = quant::canary_network("vit");
  const models::NetworkInfo& info = network->info();
  const Synthesizer synthesizer(*network, {.images = 2, .steps = 10});
  SynthesisState state = synthesizer.start();
  for (int i = 0; i < 12; ++i) {
    synthesizer.step(state);
    for (std::int64_t c = 0; c < 3; ++c) {
      const auto k = static_cast<std::size_t>(c);
      const at::Tensor pixels = state.images.select(1, c) * info.std[k] + info.mean[k];
      EXPECT_GE(pixels.min().item<double>(), -1e-6);
      EXPECT_LE(pixels.max().item<double>(), 1 + 1e-6);
    }
  }
  for (const auto& [name, parameter] : network->parameters().slots()) {
    EXPECT_FALSE(parameter->grad().defined()) << name;
  }
}

TEST(PsaqVit, synthesis_goes_on_from_its_checkpoint_with_the_same_bytes) {
  const StageBody body = body_of(implementations(psaq_vit_method(), vit), "psaq_vit.synthesize");
  FakeContext whole(small());
  body(whole);
  EXPECT_EQ(whole.checkpoints, (std::vector<std::int64_t>{50}));
  FakeContext broken(small());
  broken.stop_at_checkpoint = 50;
  EXPECT_THAT(refusal([&] { body(broken); }), HasSubstr("lost: stopped after 51 of 80 iterations"));
  broken.stop = false, broken.stop_at_checkpoint = -1;
  body(broken);
  EXPECT_EQ(images(broken), images(whole));
  FakeContext other(small(), 1);
  body(other);
  EXPECT_NE(images(other), images(whole));
}

TEST(PsaqVit, images_become_ranges_and_ranges_a_quantized_model) {
  FakeContext making(small()), observing(small()), quantizing(small(4, 8)), weights(small(4, 16));
  body_of(implementations(psaq_vit_method(), vit), "psaq_vit.synthesize")(making);
  observing.inputs["images"] = making.output();
  body_of(implementations(psaq_vit_method(), vit), "psaq_vit.observe")(observing);
  quantizing.inputs["ranges"] = observing.output();
  EXPECT_EQ(body_of(implementations(psaq_vit_method(), vit),
                    "psaq_vit.quantize")(quantizing)["metrics"]["quantized_sites"],
            27);
  EXPECT_EQ(body_of(implementations(psaq_vit_method(), vit),
                    "psaq_vit.quantize")(weights)["metrics"]["quantized_sites"],
            0);
  const std::unique_ptr<models::Network> network = vit(making);
  const auto tap = quant::apply_quantized(*network, quantizing.output());
  EXPECT_TRUE(tap->wants("blocks.0.attn.logits"));
}

TEST(PsaqVit, bits_do_not_enter_the_images) {
  for (const StageImplementation& stage : implementations(psaq_vit_method(), vit)) {
    if (stage.declaration.name != "psaq_vit.synthesize") continue;
    EXPECT_THAT(stage.declaration.reads, ::testing::Not(::testing::Contains("w_bits")));
    EXPECT_EQ(stage.declaration.random, "seed");
  }
}

TEST(PsaqVit, makes_no_images_through_quantizers_without_gradients) {
  const quant::ModelLoader rounded = [](StageContext&) {
    quant::MethodNetwork loaded(quant::canary_network("vit"));
    loaded.tap = std::make_shared<quant::ActivationTap>(
        std::map<std::string, quant::ActivationQuantizer, std::less<>>{{"head.in", {}}});
    return loaded;
  };
  FakeContext context(small());
  EXPECT_THAT(refusal([&] {
                body_of(implementations(psaq_vit_method(), rounded),
                        "psaq_vit.synthesize")(context);
              }),
              HasSubstr("unsupported: psaq_vit makes its images by gradients"));
}

// Raise the stage's revision when these numbers move on purpose.
TEST(PsaqVit, golden_output_of_revisions_2_2_4) {
  std::vector<int> revisions;
  for (const StageImplementation& stage : implementations(psaq_vit_method(), vit)) {
    revisions.push_back(stage.declaration.revision);
  }
  EXPECT_EQ(revisions, (std::vector<int>{2, 2, 4, 2 + 2 + 4})) << "the canary's is their sum";
  const std::unique_ptr<models::Network> network = quant::canary_network("vit");
  const Synthesizer synthesizer(*network, {.images = 2, .steps = 10});
  SynthesisState state = synthesizer.start();
  EXPECT_NEAR(state.tv_target, 50.168883821, 1e-6);
  EXPECT_EQ(state.labels[0].item<std::int64_t>(), 4);
  EXPECT_NEAR(synthesizer.step(state).total, 11.888958, 1e-3);
}

}  // namespace
}  // namespace assay::psaq_vit
