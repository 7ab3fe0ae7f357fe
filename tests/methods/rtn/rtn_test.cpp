#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "harness/base/atomic_file.h"
#include "harness/models/tensor_file.h"
#include "methods/quant/canary.h"
#include "methods/rtn/method.h"
#include "methods/rtn/rounding.h"
#include "tests/methods/support/method_parameters.h"
#include "tests/support/fake_context.h"
#include "tests/support/refusal.h"

namespace assay::rtn {
namespace {

using assay::testing::refusal;
using ::testing::HasSubstr;

std::unique_ptr<models::Network> vit(StageContext&) { return quant::canary_network("vit"); }

Json parameters(const Json& given, int weight_bits, int activation_bits) {
  return parameters_of(rtn_method().declaration, given, weight_bits, activation_bits);
}

TEST(Rtn, canary) { canary(); }

TEST(Rtn, weights_alone_need_no_calibration) {
  FakeContext context(parameters({}, 4, 16));
  const Json result = body_of(implementations(rtn_method(), vit), "rtn.quantize")(context);
  EXPECT_EQ(result["metrics"]["quantized_sites"], 0);
  EXPECT_EQ(result["metrics"]["quantized_layers"], 10);
  const std::unique_ptr<models::Network> network = vit(context);
  const at::Tensor before = network->parameters().at("head.weight").clone();
  quant::apply_quantized(*network, context.output());
  EXPECT_FALSE(network->parameters().at("head.weight").equal(before));
}

TEST(Rtn, observed_ranges_become_quantizers) {
  const TemporaryFolder images;
  models::save_tensors(images.path() / "images.safetensors",
                       {{"images", at::randint(0, 256, {9, 3, 16, 16}, at::kByte)}});
  for (const std::string range : {"minmax", "percentile", "mse"}) {
    FakeContext observing(parameters({{"range", range}}, 8, 8));
    observing.inputs["images"] = images.path();
    body_of(implementations(rtn_method(), vit), "rtn.observe")(observing);
    FakeContext quantizing(parameters({{"range", range}}, 8, 8));
    quantizing.inputs["ranges"] = observing.output();
    const Json result = body_of(implementations(rtn_method(), vit), "rtn.quantize")(quantizing);
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
  EXPECT_THAT(refusal([&] { body_of(implementations(rtn_method(), vit), "rtn.quantize")(wide); }),
              HasSubstr("config: parameter 'w_bits' = 17"));
  const TemporaryFolder images;
  models::save_tensors(images.path() / "images.safetensors", {{"images", at::zeros({2, 3, 8, 8})}});
  FakeContext other(parameters({}, 8, 8));
  other.inputs["images"] = images.path();
  EXPECT_THAT(refusal([&] { body_of(implementations(rtn_method(), vit), "rtn.observe")(other); }),
              HasSubstr("images are [2, 3, 8, 8]"));
}

TEST(Rtn, rounds_only_what_it_is_told_to) {
  const auto made = [](const char* part) {
    FakeContext context(parameters({{"quantize", part}, {"act", "tensor_dynamic"}}, 4, 8));
    return body_of(implementations(rtn_method(), vit), "rtn.quantize")(context)["metrics"];
  };
  EXPECT_EQ(made("weights")["quantized_sites"], 0);
  EXPECT_EQ(made("weights")["float_layers"], 0);
  EXPECT_EQ(made("activations")["quantized_sites"], 27);
  EXPECT_EQ(made("activations")["quantized_layers"], 0);
  EXPECT_EQ(made("activations")["bits_per_weight"], 16.0);
  EXPECT_EQ(made("both")["quantized_layers"], 10);
}

TEST(Rtn, keys_and_values_have_a_range_a_head_and_token) {
  const at::NoGradGuard no_gradients;
  const std::unique_ptr<models::Network> network = quant::canary_network("opt");
  const quant::QuantizedModel model =
      round_to_nearest(*network, {.weight_bits = 16, .cache_bits = 3}, {});
  EXPECT_EQ(model.activations.size(), 4U);
  EXPECT_TRUE(model.layers.empty());
  const at::Tensor x = at::randn({1, 2, 3, 8}, at::kDouble);
  const at::Tensor y = model.activations.at("blocks.1.attn.v.cache")(x);
  for (std::int64_t head = 0; head < 2; ++head) {
    for (std::int64_t token = 0; token < 3; ++token) {
      const at::Tensor row = x[0][head][token];
      const double low = std::min(row.min().item<double>(), 0.0);
      const double scale = (std::max(row.max().item<double>(), 0.0) - low) / 7;
      const double zero = std::nearbyint(-low / scale);
      const at::Tensor expected = ((row / scale).round() + zero).clamp(0, 7).sub(zero) * scale;
      EXPECT_TRUE(y[0][head][token].allclose(expected, 1e-12, 1e-12));
    }
  }
  // A pass over a text and decoding it token by token round the same keys and values.
  const at::Tensor tokens = quant::canary_inputs(*network, 1).narrow(1, 0, 12);
  quant::ActivationTap tap(model.activations);
  const at::Tensor whole = network->forward(tokens, tap);
  EXPECT_GT(quant::relative_error(whole, network->forward(tokens)), 1e-3);
  models::KeyValueCache cache;
  for (std::int64_t i = 0; i < 12; ++i) {
    EXPECT_LT(quant::relative_error(network->decode(tokens.narrow(1, i, 1), cache, tap),
                                    whole.narrow(1, i, 1)),
              1e-4);
  }
}

TEST(Rtn, keys_and_values_are_rounded_where_there_are_some) {
  const auto refused = [](const char* family, int bits, const Json& given = Json::object()) {
    FakeContext context(parameters(given, 16, 16));
    context.recipe_json["parameters"]["kv_bits"] = bits;
    const std::unique_ptr<models::Network> network = quant::canary_network(family);
    return refusal([&] {
      rtn_method().stages[1].check(
          {.context = context, .network = *network, .samples = {}, .before = {}});
    });
  };
  EXPECT_EQ(refused("opt", 4), "no error");
  EXPECT_THAT(refused("vit", 4), HasSubstr("kv_bits = 4: networks of family 'vit' keep no keys"));
  EXPECT_THAT(refused("opt", 1, {{"kv_symmetric", true}}), HasSubstr("kv_bits = 1 with a symmetric"));
  EXPECT_EQ(refused("vit", 4, {{"quantize", "weights"}}), "no error");
}

TEST(Rtn, ranges_are_observed_behind_the_quantizers_that_are_there) {
  const TemporaryFolder images;
  models::save_tensors(images.path() / "images.safetensors",
                       {{"images", at::randint(0, 256, {9, 3, 16, 16}, at::kByte)}});
  const quant::ModelLoader halved = [](StageContext&) {
    struct Halve : models::Tap {
      at::Tensor operator()(std::string_view site, const at::Tensor& value) override {
        return site == "head.out" ? value / 2 : value;
      }
    };
    quant::MethodNetwork loaded(quant::canary_network("vit"));
    loaded.tap = std::make_shared<Halve>();
    return loaded;
  };
  const auto range = [&](const quant::ModelLoader& loader) {
    FakeContext context(parameters({}, 8, 8));
    context.inputs["images"] = images.path();
    body_of(implementations(rtn_method(), loader), "rtn.observe")(context);
    const std::string file = (context.output() / "ranges.json").string();
    return quant::ranges_from(parse_json(read_file(file), file), file).at("head.out").high;
  };
  EXPECT_FLOAT_EQ(static_cast<float>(range(halved)), static_cast<float>(range(vit) / 2));
}

TEST(Rtn, weights_that_are_not_finite_and_one_symmetric_bit_are_refused_by_layer) {
  const quant::ModelLoader broken = [](StageContext&) {
    std::unique_ptr<models::Network> network = quant::canary_network("vit");
    network->parameters().at("blocks.1.mlp.fc2.weight")[0][0] = NAN;
    return quant::MethodNetwork(std::move(network));
  };
  FakeContext context(parameters({}, 4, 16));
  EXPECT_THAT(
      refusal([&] { body_of(implementations(rtn_method(), broken), "rtn.quantize")(context); }),
      HasSubstr("method: layer 'blocks.1.mlp.fc2': the weight holds NaN or infinities"));
  FakeContext one(parameters({{"symmetric", true}}, 1, 16));
  EXPECT_THAT(refusal([&] { body_of(implementations(rtn_method(), vit), "rtn.quantize")(one); }),
              HasSubstr("unsupported: layer 'patch_embed.proj': a symmetric weight grid of 1 bit"));
  FakeContext act(parameters({{"symmetric", true}, {"act", "tensor_dynamic"}}, 16, 1));
  EXPECT_THAT(refusal([&] { body_of(implementations(rtn_method(), vit), "rtn.quantize")(act); }),
              HasSubstr("unsupported: symmetric activations of 1 bit"));
}

TEST(Rtn, a_percentile_that_is_no_upper_quantile_is_refused_before_it_runs) {
  const auto network = quant::canary_network("vit");
  const auto check = [&](double percentile) {
    FakeContext context(parameters({{"range", "percentile"}, {"percentile", percentile}}, 4, 16));
    rtn_method().stages.at(1).check({.context = context, .network = *network});
  };
  EXPECT_THAT(refusal([&] { check(0.5); }), HasSubstr("expected more than 0.5"));
  EXPECT_NO_THROW(check(0.9));
}

// Raise the stage's revision when these texts move on purpose: a stored result keeps its own.
TEST(Rtn, golden_result_behind_another_method_of_revision_5) {
  const quant::ModelLoader rounded = [](StageContext& context) {
    quant::MethodNetwork loaded(vit(context));
    loaded.before.add(round_to_nearest(*loaded.network, {.weight_bits = 4}, {}));
    return loaded;
  };
  FakeContext context(parameters({{"layers", "inner"}}, 4, 16));
  const Json result = body_of(implementations(rtn_method(), rounded), "rtn.quantize")(context);
  EXPECT_EQ(result["quantization"].dump(),
            R"({"activations":null,)"
            R"("weights":{"digest":"6dafc75a146e","float_layers":[],"layers":10}})");
  EXPECT_EQ(result["note"],
            "rtn rounds the weights of 8 layers that a method before it had rounded already: what "
            "it can still change is little; a method with the parameter `quantize`, as rtn and "
            "smoothquant have it, can leave weights alone (quantize: activations)");
}

// Raise the stage's revision when these numbers move on purpose.
TEST(Rtn, golden_output_of_revisions_3_5) {
  for (const MethodStage& stage : rtn_method().stages) {
    EXPECT_EQ(stage.declaration.revision, stage.declaration.name == "rtn.quantize" ? 5 : 3);
  }
  const std::unique_ptr<models::Network> network = quant::canary_network("vit");
  const quant::QuantizedModel model = round_to_nearest(*network, {.weight_bits = 4}, {});
  const quant::QuantizedLayer& layer = model.layers.at("blocks.0.attn.qkv");
  EXPECT_EQ(layer.code.sum().item<std::int64_t>(), 23298);
  EXPECT_NEAR(layer.grid.scale.sum().item<float>(), 2.69157, 1e-5);
}

}  // namespace
}  // namespace assay::rtn
