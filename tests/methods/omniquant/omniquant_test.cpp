// The stage of omniquant on the tiny OPT network.

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/base/atomic_file.h"
#include "methods/omniquant/method.h"
#include "methods/quant/activation.h"
#include "methods/quant/canary.h"
#include "methods/quant/grid_search.h"
#include "tests/methods/support/chain_network.h"
#include "tests/methods/support/small_networks.h"
#include "tests/methods/support/weights_only_stage.h"

namespace assay::omniquant {
namespace {

using ::testing::HasSubstr;
using testing::refusal;

const WeightsOnlyStage& stage() {
  static const WeightsOnlyStage made(omniquant_method(), {{"epochs", 2}});
  return made;
}

const char* kNothing = "no error";

// As a plan asks, of a network behind methods that do `before`.
std::string refusal_of_plan(const Json& given, int weight_bits, int activation_bits,
                            const Rounding& before, const models::Network& network) {
  const FakeContext context(stage().parameters(given, weight_bits, activation_bits));
  return refusal([&] {
    omniquant_method().stages.front().check(
        {.context = context, .network = network, .samples = {}, .before = before});
  });
}

std::string text_of(FakeContext& context) {
  return WeightsOnlyStage::codes(context) + read_file(context.output() / "quantization.json");
}

TEST(OmniQuantStage, canary) { canary(); }

TEST(OmniQuantStage, goes_on_from_its_checkpoint_with_the_same_bytes) {
  stage().expect_same_bytes_after_a_stop();
}

TEST(OmniQuantStage, goes_on_with_rounded_activations_too) {
  FakeContext whole(stage().parameters({}, 4, 4)), broken(stage().parameters({}, 4, 4));
  const Json result = stage().run(whole);
  broken.stop_at_checkpoint = 1;
  EXPECT_THAT(refusal([&] { stage().run(broken); }), HasSubstr("lost: stopped after 1 of 2"));
  broken.stop = false, broken.stop_at_checkpoint = -1;
  EXPECT_EQ(stage().run(broken), result);
  EXPECT_TRUE(text_of(broken) == text_of(whole));
  EXPECT_EQ(read_file(broken.output() / "first_losses.json"),
            read_file(whole.output() / "first_losses.json"));
}

TEST(OmniQuantStage, a_second_run_gives_the_same_bytes) {
  FakeContext one(stage().parameters({}, 3, 8)), other(stage().parameters({}, 3, 8), 7);
  EXPECT_EQ(stage().run(one), stage().run(other));
  EXPECT_TRUE(text_of(one) == text_of(other));
}

TEST(OmniQuantStage, golden_output_of_revision_1) {
  stage().expect_golden(1, {}, 57633, 0.0586649606838);
  stage().expect_golden(1, {{"let", false}}, 57503, 0.0588036040676);
}

TEST(OmniQuantStage, a_stop_is_heard_between_chunks) {
  stage().expect_a_stop_is_heard_between_chunks();
}

TEST(OmniQuantStage, every_option_moves_the_codes_and_its_artifact_loads) {
  stage().expect_every_option_moves_the_codes({{{"group", 8}},
                                               {{"group", 24}},
                                               {{"lwc", false}},
                                               {{"let", false}},
                                               {{"alpha", 0.8}},
                                               {{"augment_loss", true}},
                                               {{"epochs", 3}},
                                               {{"batch", 3}},
                                               {{"lwc_learning_rate", 1e-1}},
                                               {{"let_learning_rate", 1e-1}}});
}

TEST(OmniQuantStage, epochs_are_20_and_40_at_2_bits) {
  const auto counted = [](int bits) {
    const WeightsOnlyStage defaults(omniquant_method(), {{"batch", 11}});
    FakeContext by_default(defaults.parameters({}, bits));
    FakeContext by_hand(defaults.parameters({{"epochs", bits == 2 ? 40 : 20}}, bits));
    defaults.run(by_default);
    defaults.run(by_hand);
    return text_of(by_default) == text_of(by_hand);
  };
  EXPECT_TRUE(counted(2));
  EXPECT_TRUE(counted(3));
}

TEST(OmniQuantStage, rounds_activations_as_it_was_trained_with_them) {
  FakeContext weights(stage().parameters({}, 4)), both(stage().parameters({}, 4, 8));
  FakeContext left(stage().parameters({{"quantize", "weights"}}, 4, 8));
  FakeContext inputs(stage().parameters({{"quantize_bmm", false}}, 4, 8));
  EXPECT_EQ(stage().run(weights)["quantization"]["activations"], nullptr);
  EXPECT_EQ(stage().run(both)["quantization"]["activations"]["sites"], 14);
  EXPECT_EQ(stage().run(inputs)["quantization"]["activations"]["sites"], 8);
  EXPECT_EQ(stage().run(left)["quantization"]["activations"], nullptr);
  EXPECT_TRUE(text_of(left) == text_of(weights));
  EXPECT_TRUE(WeightsOnlyStage::codes(both) != WeightsOnlyStage::codes(weights));
}

TEST(OmniQuantStage, scales_and_shifts_are_burnt_into_norms_and_biases) {
  const at::NoGradGuard no_gradients;
  FakeContext scaled(stage().parameters({}, 4)), shifted(stage().parameters({}, 4, 8));
  FakeContext clipped(stage().parameters({{"let", false}}, 4));
  for (FakeContext* context : {&scaled, &shifted, &clipped}) stage().run(*context);
  const auto changed = [](FakeContext& context) {
    return quant::load_quantized(context.output()).parameters.size();
  };
  EXPECT_EQ(changed(scaled), 2 * 5U);   // a block: both norms, bias of v
  EXPECT_EQ(changed(shifted), 2 * 9U);  // biases of q, k, out and fc1 too
  EXPECT_EQ(changed(clipped), 0U);
}

TEST(OmniQuantStage, reports_the_losses_of_blocks_before_and_after) {
  FakeContext context(stage().parameters({{"epochs", 5}}, 3));
  const Json result = stage().run(context);
  const Json first = parse_json(read_file(context.output() / "first_losses.json"), "first");
  const Json last = parse_json(read_file(context.output() / "losses.json"), "last");
  ASSERT_EQ(first.size(), 2U);
  for (const auto& item : first.items()) {
    EXPECT_LT(last[item.key()].get<double>(), item.value().get<double>()) << item.key();
  }
  EXPECT_LT(result["metrics"]["layer_loss"], result["metrics"]["first_loss"]);
  EXPECT_FALSE(result.contains("note"));
  EXPECT_GT(context.metrics.at("block_loss"), 0);
}

TEST(OmniQuantStage, training_that_raises_a_loss_is_noted) {
  FakeContext context(stage().parameters({{"lwc_learning_rate", 10.0}, {"epochs", 1}}, 8));
  const Json result = stage().run(context);
  ASSERT_TRUE(result.contains("note"));
  EXPECT_THAT(result["note"].get<std::string>(),
              HasSubstr("training raised the loss of blocks.0 from"));
}

TEST(OmniQuantStage, with_nothing_to_learn_it_is_round_to_nearest_on_the_free_grid) {
  const at::NoGradGuard no_gradients;
  FakeContext context(stage().parameters({{"lwc", false}, {"let", false}}, 3));
  const Json result = stage().run(context);
  EXPECT_FALSE(result["metrics"].contains("first_loss"));
  const std::unique_ptr<models::Network> network = WeightsOnlyStage::opt(context);
  for (const auto& [name, layer] : quant::load_quantized(context.output()).layers) {
    const at::Tensor weight = network->parameters().at(name + ".weight");
    const quant::Grid grid =
        quant::find_grid(weight, {.bits = 3, .search = quant::RangeSearch::kFree});
    EXPECT_TRUE(layer.grid.scale.equal(grid.scale)) << name;
    EXPECT_TRUE(layer.code.equal(quant::quantized_layer(weight, grid).code)) << name;
  }
}

// Rotary networks learn scales where activations are rounded, as in the release, or where asked.
TEST(OmniQuantStage, llama_learns_scales_only_with_activations_unless_asked) {
  const auto llama = [](StageContext&) {
    std::unique_ptr<models::Network> network =
        models::make_network("llama", {{"model_type", "llama"},
                                       {"hidden_size", 32},
                                       {"intermediate_size", 48},
                                       {"num_hidden_layers", 1},
                                       {"num_attention_heads", 2},
                                       {"num_key_value_heads", 1},
                                       {"vocab_size", 64},
                                       {"max_position_embeddings", 32}});
    models::initialise(*network, 3);
    return network;
  };
  const auto changed = [&](const Json& given, int activation_bits) {
    FakeContext context(stage().parameters(given, 3, activation_bits));
    stage().run(context, llama);
    return quant::load_quantized(context.output()).parameters.size();
  };
  EXPECT_EQ(changed({}, 16), 0U);
  EXPECT_EQ(changed({{"let_on", "all"}}, 16), 2U);  // the norms; no layer has a bias
  EXPECT_EQ(changed({}, 8), 2U);
  EXPECT_EQ(changed({{"let", false}}, 8), 0U);
  EXPECT_EQ(changed({{"quantize", "weights"}}, 8), 0U);
}

TEST(OmniQuantStage, sixteen_bits_read_no_data_and_leave_the_network_float) {
  FakeContext context(stage().parameters({}, 16));
  body_of(implementations(omniquant_method(), WeightsOnlyStage::opt),
          "omniquant.quantize")(context);
  const quant::QuantizedModel model = quant::load_quantized(context.output());
  EXPECT_TRUE(model.layers.empty());
  EXPECT_TRUE(model.parameters.empty());
}

TEST(OmniQuantStage, bits_that_it_cannot_do_are_refused_by_plan_and_run) {
  const auto network = quant::canary_network("opt");
  for (const auto& [weights, activations, problem] :
       {std::tuple(1, 16, "unsupported: w_bits = 1"),
        std::tuple(16, 8, "unsupported: w_bits = 16 with a_bits = 8")}) {
    FakeContext context(stage().parameters({}, weights, activations));
    EXPECT_THAT(refusal([&] { stage().run(context); }), HasSubstr(problem));
    EXPECT_THAT(refusal_of_plan({}, weights, activations, {}, *network), HasSubstr(problem));
  }
  stage().expect_config_refusal({{"group", 0}}, "group = 0");
  EXPECT_EQ(refusal_of_plan({}, 4, 4, {}, *network), kNothing);
  EXPECT_EQ(refusal_of_plan({{"quantize", "weights"}}, 16, 8, {}, *network), kNothing);
}

TEST(OmniQuantStage, what_is_rounded_or_put_in_front_before_it_is_refused) {
  const auto network = quant::canary_network("opt");
  EXPECT_EQ(
      refusal_of_plan({}, 3, 16, {.weights = true}, *network),
      "unsupported: omniquant works on float weights, and a method before it rounds them: let "
      "omniquant come first (\"omniquant + rtn\")");
  EXPECT_THAT(refusal_of_plan({}, 3, 16, {.activations = true}, *network),
              HasSubstr("omniquant works on float activations"));
  EXPECT_EQ(refusal_of_plan({}, 16, 16, {.activations = true}, *network), kNothing);
  EXPECT_EQ(refusal_of_plan({}, 3, 16, {.weights = {}, .activations = {}}, *network), kNothing);
  EXPECT_THAT(refusal_of_plan({}, 3, 16, {.prefix = 2}, *network),
              HasSubstr("let omniquant come first (\"omniquant + cushioncache\"), or write let"));
  EXPECT_EQ(refusal_of_plan({{"let", false}}, 3, 16, {.prefix = 2}, *network), kNothing);
  FakeContext context(stage().parameters({}, 3));
  EXPECT_THAT(refusal([&] {
                stage().run(context, [](StageContext& given) {
                  quant::MethodNetwork rounded(WeightsOnlyStage::opt(given));
                  rounded.before.layers["model.decoder.layers.0.fc1"] = {};
                  return rounded;
                });
              }),
              HasSubstr("omniquant works on float weights"));
}

TEST(OmniQuantStage, a_network_without_channels_to_scale_is_refused) {
  const models::ChainNetwork chain(1, 4, at::kFloat);
  EXPECT_THAT(refusal_of_plan({}, 3, 16, {}, chain),
              HasSubstr("unsupported: the channels of family 'chain'"));
  EXPECT_EQ(refusal_of_plan({{"let", false}}, 3, 16, {}, chain), kNothing);
  EXPECT_EQ(omniquant_method().declaration.families, (std::vector<std::string>{"opt", "llama"}));
}

TEST(OmniQuantStage, says_what_it_rounds) {
  const auto rounds = [](const Json& given, int weights, int activations) {
    const FakeContext context(stage().parameters(given, weights, activations));
    return omniquant_method().stages.front().rounds(context);
  };
  EXPECT_EQ(rounds({}, 4, 8).weights, true);
  EXPECT_EQ(rounds({}, 4, 8).activations, true);
  EXPECT_EQ(rounds({}, 4, 8).cache, false);
  EXPECT_EQ(rounds({{"quantize", "weights"}}, 4, 8).activations, false);
  EXPECT_EQ(rounds({{"quantize", "weights"}}, 4, 8).bits.activations, 8);
  EXPECT_EQ(rounds({}, 16, 16).weights, false);
}

}  // namespace
}  // namespace assay::omniquant
