#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "harness/base/atomic_file.h"
#include "harness/models/tensor_file.h"
#include "methods/gptq/method.h"
#include "methods/quant/canary.h"
#include "tests/methods/support/method_parameters.h"
#include "tests/methods/support/tapped_network.h"
#include "tests/methods/support/weights_only_stage.h"
#include "tests/support/fake_context.h"
#include "tests/support/refusal.h"

namespace assay::gptq {
namespace {

using assay::testing::refusal;
using ::testing::HasSubstr;

std::unique_ptr<models::Network> opt(StageContext&) { return quant::canary_network("opt"); }

class GptqStage : public ::testing::Test {
 protected:
  GptqStage() {
    models::save_tensors(
        tokens_.path() / "tokens.safetensors",
        {{"tokens", quant::canary_inputs(*quant::canary_network("opt"), 11).to(at::kInt)}});
  }
  void prepare(FakeContext& context) { context.inputs["tokens"] = tokens_.path(); }
  static std::string codes(FakeContext& context) {
    return read_file(context.output() / "codes.safetensors");
  }
  static Json run(FakeContext& context) {
    return body_of(implementations(gptq_method(), opt), "gptq.quantize")(context);
  }

  TemporaryFolder tokens_;
};

TEST_F(GptqStage, canary) { canary(); }

TEST_F(GptqStage, goes_on_from_its_checkpoint_with_the_same_bytes) {
  WeightsOnlyStage(gptq_method()).expect_same_bytes_after_a_stop();
}

TEST_F(GptqStage, every_option_runs_and_its_artifact_loads) {
  for (const Json& given :
       std::vector<Json>{{{"group", 16}},
                         {{"group", 16}, {"act_order", true}},
                         {{"group", 16}, {"static_groups", true}, {"act_order", true}},
                         {{"group", 16}, {"group_grid_source", "current"}},
                         {{"grid", "hessian"}},
                         {{"grid", "mse"}, {"symmetric", true}},
                         {{"true_sequential", true}},
                         {{"propagate", "float"}},
                         {{"moment_unit", "token"}}}) {
    FakeContext context(parameters_of(gptq_method().declaration, given, 3, 16));
    prepare(context);
    run(context);
    const std::unique_ptr<models::Network> network = opt(context);
    quant::apply_quantized(*network, context.output());
    EXPECT_TRUE(network->forward(quant::canary_inputs(*network, 2)).isfinite().all().item<bool>())
        << given;
  }
}

TEST_F(GptqStage, images_calibrate_vision_transformers) {
  const TemporaryFolder images;
  models::save_tensors(images.path() / "images.safetensors",
                       {{"images", at::randint(0, 256, {5, 3, 16, 16}, at::kByte)}});
  FakeContext context(parameters_of(gptq_method().declaration, {}, 4, 16));
  context.inputs["images"] = images.path();
  const Json result = body_of(
      implementations(gptq_method(), [](StageContext&) { return quant::canary_network("vit"); }),
      "gptq.quantize")(context);
  EXPECT_EQ(result["metrics"]["quantized_layers"], 8);
}

TEST_F(GptqStage, what_it_does_not_offer_is_refused) {
  FakeContext activations(parameters_of(gptq_method().declaration, {}, 3, 8));
  EXPECT_THAT(refusal([&] { run(activations); }),
              HasSubstr("unsupported: gptq quantizes weights only"));
  FakeContext bad(parameters_of(gptq_method().declaration, {}, 3, 16));
  const TemporaryFolder tokens;
  models::save_tensors(tokens.path() / "tokens.safetensors",
                       {{"tokens", at::full({2, 4}, 64, at::kInt)}});
  bad.inputs["tokens"] = tokens.path();
  EXPECT_THAT(refusal([&] { run(bad); }), HasSubstr("ids below 64"));
}

TEST_F(GptqStage, works_on_a_network_whose_activations_are_quantized_and_only_on_that_at_a8) {
  std::map<std::string, quant::ActivationQuantizer, std::less<>> quantizers;
  for (const std::string& site : quant::canary_network("opt")->sites()) {
    quantizers[site] = {.scheme = quant::ActivationScheme::kToken, .bits = 4};
  }
  const quant::ModelLoader rounded = [&](StageContext&) {
    quant::MethodNetwork loaded(quant::canary_network("opt"));
    loaded.tap = std::make_shared<quant::ActivationTap>(quantizers);
    loaded.before.add({.method = "test", .activations = quantizers});
    return loaded;
  };
  FakeContext context(parameters_of(gptq_method().declaration, {}, 3, 4));
  prepare(context);
  const Json result = body_of(implementations(gptq_method(), rounded), "gptq.quantize")(context);
  EXPECT_EQ(result["quantization"]["activations"]["sites"], quantizers.size());
  EXPECT_EQ(result["metrics"]["float_layers"], 0);
  // By hand: the same walk over a network that was written with these quantizers in it.
  const std::unique_ptr<models::Network> inner = quant::canary_network("opt");
  quant::ActivationTap own(quantizers);
  models::TappedNetwork by_hand(*inner, own);
  const quant::BlockWalkResult expected = quant::quantize_blocks(
      by_hand, quant::canary_inputs(*inner, 11).to(at::kLong),
      layers_quantizer(by_hand, {.bits = 3}),
      {.method = "gptq", .sequential = {.unit = quant::MomentUnit::kSequence}});
  const quant::QuantizedModel made = quant::load_quantized(context.output());
  ASSERT_EQ(made.layers.size(), expected.model.layers.size());
  for (const auto& [name, layer] : expected.model.layers) {
    EXPECT_TRUE(made.layers.at(name).code.equal(layer.code)) << name;
    EXPECT_TRUE(made.layers.at(name).grid.scale.equal(layer.grid.scale)) << name;
  }
  FakeContext plain(parameters_of(gptq_method().declaration, {}, 3, 16));
  prepare(plain);
  run(plain);
  EXPECT_NE(codes(context), codes(plain));
}

TEST_F(GptqStage, weights_that_are_not_finite_are_refused_by_layer) {
  const quant::ModelLoader broken = [](StageContext&) {
    std::unique_ptr<models::Network> network = quant::canary_network("opt");
    network->parameters().at("model.decoder.layers.1.fc1.weight")[0][0] = INFINITY;
    return quant::MethodNetwork(std::move(network));
  };
  FakeContext context(parameters_of(gptq_method().declaration, {}, 3, 16));
  prepare(context);
  EXPECT_THAT(
      refusal([&] { body_of(implementations(gptq_method(), broken), "gptq.quantize")(context); }),
      HasSubstr("method: layer 'model.decoder.layers.1.fc1': the weight holds NaN"));
}

// Raise the stage's revision when these texts move on purpose: a stored result keeps its own.
TEST_F(GptqStage, golden_result_behind_another_method_of_revision_5) {
  const quant::ModelLoader rounded = [](StageContext&) {
    quant::MethodNetwork loaded(quant::canary_network("opt"));
    std::map<std::string, quant::ActivationQuantizer, std::less<>> quantizers;
    for (const std::string& site : loaded.network->sites()) {
      quantizers[site] = {.scheme = quant::ActivationScheme::kToken, .bits = 8};
    }
    loaded.tap = std::make_shared<quant::ActivationTap>(quantizers);
    loaded.before.add({.method = "first", .activations = quantizers});
    return loaded;
  };
  FakeContext context(parameters_of(gptq_method().declaration, {}, 3, 8));
  prepare(context);
  const Json result = body_of(implementations(gptq_method(), rounded), "gptq.quantize")(context);
  EXPECT_EQ(result["quantization"].dump(),
            R"({"activations":{"digest":"420b10a0f3f2","rounding":["round(x/s) + z"],"sites":8},)"
            R"("weights":{"digest":"53ed67b5dffc","float_layers":[],"layers":12}})");
  EXPECT_EQ(result.value("note", ""), "");
}

// Raise the stage's revision when these numbers move on purpose.
TEST_F(GptqStage, golden_output_of_revision_6) {
  EXPECT_EQ(implementations(gptq_method(), opt).front().declaration.revision, 6);
  FakeContext context(parameters_of(gptq_method().declaration, {}, 4, 16));
  prepare(context);
  const Json result = run(context);
  const quant::QuantizedModel model = quant::load_quantized(context.output());
  EXPECT_EQ(model.layers.at("model.decoder.layers.0.fc1").code.sum(at::kLong).item<std::int64_t>(),
            15498);
  EXPECT_NEAR(result["metrics"]["layer_loss"].get<double>(), 10.072134, 1e-3);
}

}  // namespace
}  // namespace assay::gptq
