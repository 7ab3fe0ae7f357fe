#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "methods/awq/method.h"
#include "methods/quant/activation.h"
#include "tests/methods/support/chain_network.h"
#include "tests/methods/support/weights_only_stage.h"

namespace assay::awq {
namespace {

const WeightsOnlyStage& stage() {
  static const WeightsOnlyStage made(awq_method(), {{"group", 8}});
  return made;
}

// As a plan asks, of a network behind methods that round `before`.
std::string refusal_of_plan(int weight_bits, const Rounding& before,
                            const models::Network& network) {
  const FakeContext context(stage().parameters({}, weight_bits));
  return testing::refusal([&] {
    awq_method().stages.front().check({.context = context, .network = network, .before = before});
  });
}

TEST(AwqStage, canary) { canary(); }

TEST(AwqStage, goes_on_from_its_checkpoint_with_the_same_bytes) {
  stage().expect_same_bytes_after_a_stop();
}

// Of either search: with both, a weight that is scaled and clipped at both ends of its group lies
// on a tie, and a processor's last bits decide its code.
TEST(AwqStage, golden_output_of_revision_2) {
  stage().expect_golden(2, {{"clip", false}}, 57541, 2.1439348173);
  stage().expect_golden(2, {{"scale", false}}, 57637, 1.3612515392);
}

TEST(AwqStage, a_stop_is_heard_between_chunks) { stage().expect_a_stop_is_heard_between_chunks(); }

TEST(AwqStage, every_option_moves_the_codes_and_its_artifact_loads) {
  stage().expect_every_option_moves_the_codes({{{"group", -1}},
                                               {{"group", 24}},
                                               {{"scale", false}},
                                               {{"ratios", 3}},
                                               {{"clip", false}},
                                               {{"clip_steps", 3}},
                                               {{"clip_min", 0.1}}});
}

TEST(AwqStage, a_group_of_no_columns_is_refused) {
  stage().expect_config_refusal({{"group", 0}}, "group = 0");
}

TEST(AwqStage, sixteen_bits_read_no_data_and_leave_the_network_float) {
  FakeContext context(stage().parameters({}, 16));
  body_of(implementations(awq_method(), WeightsOnlyStage::opt), "awq.quantize")(context);
  const quant::QuantizedModel model = quant::load_quantized(context.output());
  EXPECT_TRUE(model.layers.empty());
  EXPECT_TRUE(model.channel_scales.empty());
}

TEST(AwqStage, one_bit_is_refused) {
  FakeContext context(stage().parameters({}, 1));
  EXPECT_THAT(testing::refusal([&] { stage().run(context); }),
              ::testing::HasSubstr("unsupported: w_bits = 1"));
  EXPECT_THAT(refusal_of_plan(1, {}, *quant::canary_network("opt")),
              ::testing::HasSubstr("unsupported: w_bits = 1"));
}

TEST(AwqStage, groups_that_mostly_lie_on_one_side_of_0_are_refused) {
  for (const int group : {1, 2, 3}) {
    FakeContext context(stage().parameters({{"group", group}}, 4));
    EXPECT_THAT(testing::refusal([&] { stage().run(context); }),
                ::testing::StartsWith("unsupported: group = " + std::to_string(group)));
  }
  FakeContext context(stage().parameters({{"group", 4}}, 4));
  EXPECT_EQ(testing::refusal([&] { stage().run(context); }), "no error");
}

TEST(AwqStage, a_prefix_before_it_is_refused) {
  const auto network = quant::canary_network("opt");
  EXPECT_THAT(refusal_of_plan(3, {.prefix = 2}, *network),
              ::testing::HasSubstr("unsupported: awq scales the channels of values, and a method "
                                   "before it puts a prefix in front"));
  EXPECT_EQ(refusal_of_plan(16, {.prefix = 2}, *network), "no error");
}

TEST(AwqStage, what_is_rounded_before_it_is_refused_by_plan_and_run) {
  const char* weights =
      "unsupported: awq works on float weights, and a method before it rounds them: let awq come "
      "first (\"awq + rtn\")";
  const char* activations = "unsupported: awq works on float activations, and a method before it";
  const auto network = quant::canary_network("opt");
  EXPECT_EQ(refusal_of_plan(3, {.weights = true}, *network), weights);
  EXPECT_THAT(refusal_of_plan(3, {.activations = true}, *network),
              ::testing::HasSubstr(activations));
  EXPECT_EQ(refusal_of_plan(16, {.activations = true}, *network), "no error");
  EXPECT_EQ(refusal_of_plan(3, {}, *network), "no error");
  // What a plan does not know: a method of another provider.
  EXPECT_EQ(refusal_of_plan(3, {.weights = {}, .activations = {}}, *network), "no error");
  FakeContext context(stage().parameters({}, 3));
  EXPECT_EQ(testing::refusal([&] {
              stage().run(context, [](StageContext& given) {
                quant::MethodNetwork rounded(WeightsOnlyStage::opt(given));
                rounded.before.layers["model.decoder.layers.0.fc1"] = {};
                return rounded;
              });
            }),
            weights);
  EXPECT_THAT(testing::refusal([&] {
                stage().run(context, [](StageContext& given) {
                  quant::MethodNetwork rounded(WeightsOnlyStage::opt(given));
                  rounded.tap = std::make_shared<quant::ActivationTap>(
                      std::map<std::string, quant::ActivationQuantizer, std::less<>>{
                          {"blocks.0.mlp.fc1.in", {}}});
                  return rounded;
                });
              }),
              ::testing::HasSubstr(activations));
}

TEST(AwqStage, a_network_without_channels_to_scale_is_refused) {
  EXPECT_THAT(refusal_of_plan(3, {}, models::ChainNetwork(1, 4, at::kFloat)),
              ::testing::HasSubstr("unsupported: the channels of family 'chain'"));
}

// Activations are for a method after it, so bits that none rounds are found by what it says here.
TEST(AwqStage, says_that_it_rounds_weights_alone) {
  const FakeContext context(stage().parameters({}, 4, 8));
  const Rounding rounds = awq_method().stages.front().rounds(context);
  EXPECT_EQ(rounds.weights, true);
  EXPECT_EQ(rounds.activations, false);
  EXPECT_EQ(rounds.bits.weights, 4);
  EXPECT_EQ(rounds.bits.activations, 8);
  const FakeContext float_weights(stage().parameters({}, 16, 8));
  EXPECT_EQ(awq_method().stages.front().rounds(float_weights).weights, false);
}

}  // namespace
}  // namespace assay::awq
