#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/models/tensor_file.h"
#include "methods/quant/canary.h"
#include "methods/rtn/method.h"
#include "methods/rtn/rounding.h"
#include "tests/methods/support/fake_context.h"
#include "tests/methods/support/refusal.h"

namespace assay::rtn {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<models::Network> vit(StageContext&) { return quant::canary_network("vit"); }

Json parameters(const Json& given, int weight_bits, int activation_bits) {
  return parameters_of(declaration(), given, weight_bits, activation_bits);
}

TEST(Rtn, canary) { canary(); }

TEST(Rtn, weights_alone_need_no_calibration) {
  FakeContext context(parameters({}, 4, 16));
  const Json result = body_of(stages(vit), "rtn.quantize")(context);
  EXPECT_EQ(result["metrics"]["quantized_sites"], 0);
  EXPECT_EQ(result["metrics"]["quantized_layers"], 10);
  const std::unique_ptr<models::Network> network = vit(context);
  const at::Tensor before = network->parameters().at("head.weight").clone();
  quant::apply_quantized(*network, context.output());
  EXPECT_FALSE(network->parameters().at("head.weight").equal(before));
}

TEST(Rtn, observed_ranges_become_quantizers) {
  const Folder images;
  models::save_tensors(images.path() / "images.safetensors",
                       {{"images", at::randint(0, 256, {9, 3, 16, 16}, at::kByte)}});
  for (const std::string range : {"minmax", "percentile", "mse"}) {
    FakeContext observing(parameters({{"range", range}}, 8, 8));
    observing.inputs["images"] = images.path();
    body_of(stages(vit), "rtn.observe")(observing);
    FakeContext quantizing(parameters({{"range", range}}, 8, 8));
    quantizing.inputs["ranges"] = observing.output();
    const Json result = body_of(stages(vit), "rtn.quantize")(quantizing);
    EXPECT_EQ(result["metrics"]["quantized_sites"], 27);
    const quant::QuantizedModel model = quant::load_quantized(quantizing.output());
    EXPECT_NE(model.activations.at("head.out").scale, 1);
  }
}

TEST(Rtn, layers_and_sites_can_be_chosen) {
  const std::unique_ptr<models::Network> network = quant::canary_network("vit");
  EXPECT_EQ(selected_layers(*network, "all").size(), 10u);
  EXPECT_EQ(selected_layers(*network, "blocks").size(), 8u);
  EXPECT_EQ(selected_layers(*network, "inner").front().name, "blocks.0.attn.qkv");
  EXPECT_EQ(selected_sites(*network, {.sites = "inputs"}).size(), 10u);
  const std::unique_ptr<models::Network> language = quant::canary_network("opt");
  EXPECT_EQ(selected_layers(*language, "auto").size(), 12u);
  EXPECT_EQ(selected_sites(*language, {}).size(), 8u);  // q, k and v share one
}

TEST(Rtn, bits_and_calibration_data_are_checked) {
  FakeContext wide(parameters({}, 17, 16));
  EXPECT_THAT(refusal([&] { body_of(stages(vit), "rtn.quantize")(wide); }),
              HasSubstr("config: parameter 'w_bits' = 17"));
  const Folder images;
  models::save_tensors(images.path() / "images.safetensors", {{"images", at::zeros({2, 3, 8, 8})}});
  FakeContext other(parameters({}, 8, 8));
  other.inputs["images"] = images.path();
  EXPECT_THAT(refusal([&] { body_of(stages(vit), "rtn.observe")(other); }),
              HasSubstr("images are [2, 3, 8, 8]"));
}

// Raise the stage's revision when these numbers move on purpose.
TEST(Rtn, golden_output_of_revision_2) {
  for (const StageImplementation& stage : stages(vit)) EXPECT_EQ(stage.declaration.revision, 2);
  const std::unique_ptr<models::Network> network = quant::canary_network("vit");
  const quant::QuantizedModel model = round_to_nearest(*network, {.weight_bits = 4}, {});
  const quant::QuantizedLayer& layer = model.layers.at("blocks.0.attn.qkv");
  EXPECT_EQ(layer.code.sum().item<std::int64_t>(), 23298);
  EXPECT_NEAR(layer.grid.scale.sum().item<float>(), 2.69157, 1e-5);
}

}  // namespace
}  // namespace assay::rtn
