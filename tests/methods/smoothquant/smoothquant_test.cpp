#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "harness/base/atomic_file.h"
#include "harness/models/tensor_file.h"
#include "methods/quant/canary.h"
#include "methods/smoothquant/method.h"
#include "tests/methods/support/method_parameters.h"
#include "tests/support/fake_context.h"
#include "tests/support/refusal.h"

namespace assay::smoothquant {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<models::Network> opt(StageContext&) { return quant::canary_network("opt"); }

struct Seen {
  at::NoGradGuard no_gradients;  // as in a stage: other kernels run under gradients
  std::unique_ptr<models::Network> network = quant::canary_network("opt");
  at::Tensor tokens = quant::canary_inputs(*network, 9);
  Maxima maxima;

  Seen() {
    models::Untapped none;
    maxima = channel_maxima(*network, tokens, none, {});
  }
};

class SmoothQuantStages : public ::testing::Test {
 protected:
  SmoothQuantStages() {
    models::save_tensors(
        tokens_.path() / "tokens.safetensors",
        {{"tokens", quant::canary_inputs(*quant::canary_network("opt"), 9).to(at::kInt)}});
  }
  Json run(FakeContext& context) {
    const Method method = smoothquant_method();
    FakeContext observing(context.recipe_json["parameters"]);
    observing.inputs["tokens"] = tokens_.path();
    observing.folder = maxima_.path();
    body_of(implementations(method, opt), "smoothquant.maxima")(observing);
    context.inputs["maxima"] = maxima_.path();
    return body_of(implementations(method, opt), "smoothquant.quantize")(context);
  }

  TemporaryFolder tokens_, maxima_;
};

TEST(SmoothQuant, canary) { canary(); }

TEST(SmoothQuant, the_largest_smoothed_inputs_are_a_over_s) {
  Seen seen;
  for (const double alpha : {0.0, 0.5, 1.0}) {
    const auto factors = smoothing_factors(*seen.network, seen.maxima, alpha);
    EXPECT_EQ(factors.size(), 4U);  // two blocks, before q, k, v and before fc1
    const std::unique_ptr<models::Network> smoothed = quant::canary_network("opt");
    for (const models::ScaleGroup& group : smoothed->scale_groups()) {
      const auto found = factors.find(group.layers.front());
      if (found != factors.end()) quant::scale_channels(group, found->second, *smoothed);
    }
    EXPECT_TRUE(
        smoothed->forward(seen.tokens).allclose(seen.network->forward(seen.tokens), 1e-4, 1e-5));
    models::Untapped none;
    const Maxima after = channel_maxima(*smoothed, seen.tokens, none, {});
    const at::Tensor before = seen.maxima.at("blocks.0.attn.q.in");
    const at::Tensor& s = factors.at("model.decoder.layers.0.self_attn.q_proj");
    EXPECT_TRUE(after.at("blocks.0.attn.q.in").allclose(before / s, 1e-4, 1e-6)) << alpha;
    if (alpha == 1) {
      EXPECT_TRUE(after.at("blocks.0.attn.q.in").allclose(at::ones_like(before), 1e-4));
    }
    // What is not behind a norm stays as it is.
    EXPECT_TRUE(after.at("blocks.0.mlp.fc2.in")
                    .allclose(seen.maxima.at("blocks.0.mlp.fc2.in"), 1e-4, 1e-6));
  }
}

TEST(SmoothQuant, padding_of_the_last_chunk_is_not_seen) {
  Seen seen;  // nine sequences in chunks of eight
  models::Untapped none;
  Maxima one_by_one;
  for (std::int64_t i = 0; i < 9; ++i) {
    for (const auto& [site, values] :
         channel_maxima(*seen.network, seen.tokens.narrow(0, i, 1), none, {})) {
      at::Tensor& kept = one_by_one[site];
      kept = kept.defined() ? at::maximum(kept, values) : values;
    }
  }
  for (const auto& [site, values] : seen.maxima) {
    EXPECT_TRUE(values.allclose(one_by_one.at(site), 1e-5, 1e-6)) << site;
  }
}

TEST_F(SmoothQuantStages, its_artifact_gives_the_network_that_it_made) {
  FakeContext context(parameters_of(smoothquant_method().declaration, {}, 8, 8));
  const Json result = run(context);
  EXPECT_EQ(result["quantization"]["activations"]["sites"], 14);  // 4 inputs, q, k, v a block
  const std::unique_ptr<models::Network> loaded = opt(context);
  const std::unique_ptr<models::Tap> tap = quant::apply_quantized(*loaded, context.output());
  Seen seen;
  const std::unique_ptr<models::Network> by_hand = opt(context);
  const quant::QuantizedModel made = smooth(*by_hand, seen.maxima, {});
  for (const auto& [name, layer] : made.layers) quant::apply_layer(name, layer, *by_hand);
  quant::ActivationTap own(made.activations);
  EXPECT_TRUE(loaded->forward(seen.tokens, *tap).equal(by_hand->forward(seen.tokens, own)));
}

// Raise the stages' revisions when these numbers move on purpose.
TEST_F(SmoothQuantStages, golden_output_of_revision_1) {
  for (const MethodStage& stage : smoothquant_method().stages) {
    EXPECT_EQ(stage.declaration.revision, 1);
  }
  FakeContext context(parameters_of(smoothquant_method().declaration, {}, 4, 8));
  run(context);
  const quant::QuantizedModel model = quant::load_quantized(context.output());
  EXPECT_EQ(model.layers.at("model.decoder.layers.0.fc1").code.sum(at::kLong).item<std::int64_t>(),
            16220);
  double factors = 0;
  for (const auto& [layer, each] : model.channel_scales) factors += each.sum().item<double>();
  EXPECT_NEAR(factors, 391.61326, 1e-3);
}

TEST_F(SmoothQuantStages, every_option_matters) {
  FakeContext defaults(parameters_of(smoothquant_method().declaration, {}, 4, 4));
  run(defaults);
  const auto text = [](FakeContext& context) {
    return read_file(context.output() / "codes.safetensors") +
           read_file(context.output() / "quantization.json");
  };
  for (const Json& given : std::vector<Json>{{{"alpha", 0.8}},
                                             {{"weights", "tensor"}},
                                             {{"act", "tensor_static"}},
                                             {{"act", "tensor_dynamic"}},
                                             {{"quantize_bmm", false}},
                                             {{"quantize", "weights"}},
                                             {{"quantize", "activations"}},
                                             {{"quantize", "none"}}}) {
    FakeContext context(parameters_of(smoothquant_method().declaration, given, 4, 4));
    run(context);
    EXPECT_TRUE(text(context) != text(defaults)) << given;
    const std::unique_ptr<models::Network> loaded = opt(context);
    const std::unique_ptr<models::Tap> tap = quant::apply_quantized(*loaded, context.output());
    EXPECT_TRUE(
        loaded->forward(quant::canary_inputs(*loaded, 2), *tap).isfinite().all().item<bool>());
  }
}

TEST_F(SmoothQuantStages, artifacts_that_do_not_fit_the_network_are_refused) {
  FakeContext context(parameters_of(smoothquant_method().declaration, {}, 8, 8));
  run(context);
  const quant::QuantizedModel good = quant::load_quantized(context.output());
  const std::unique_ptr<models::Network> network = opt(context);
  quant::QuantizedModel unknown = good;
  unknown.channel_scales["model.decoder.layers.7.fc1"] = at::ones({32});
  EXPECT_THAT(assay::testing::refusal([&] { quant::apply(unknown, *network); }),
              HasSubstr("data: the channels of a layer are scaled that starts no group"));
  for (const at::Tensor& bad : {at::ones({31}), at::zeros({32}), at::full({32}, NAN)}) {
    quant::QuantizedModel broken = good;
    broken.channel_scales["model.decoder.layers.0.fc1"] = bad;
    EXPECT_THAT(assay::testing::refusal([&] { quant::apply(broken, *opt(context)); }),
                HasSubstr("are not 32 factors above 0"));
  }
}

}  // namespace
}  // namespace assay::smoothquant
