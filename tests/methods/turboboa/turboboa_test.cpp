#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/base/atomic_file.h"
#include "harness/models/tensor_file.h"
#include "methods/quant/canary.h"
#include "methods/turboboa/method.h"
#include "tests/methods/support/method_parameters.h"
#include "tests/support/fake_context.h"
#include "tests/support/refusal.h"

namespace assay::turboboa {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<models::Network> opt(StageContext&) { return quant::canary_network("opt"); }

class TurboBoaStage : public ::testing::Test {
 protected:
  TurboBoaStage() {
    models::save_tensors(
        tokens_.path() / "tokens.safetensors",
        {{"tokens", quant::canary_inputs(*quant::canary_network("opt"), 11).to(at::kInt)}});
  }
  Json run(FakeContext& context) {
    context.inputs["tokens"] = tokens_.path();
    return body_of(implementations(turboboa_method(), opt), "turboboa.quantize")(context);
  }
  static std::string codes(FakeContext& context) {
    return read_file(context.output() / "codes.safetensors");
  }

  TemporaryFolder tokens_;
};

TEST_F(TurboBoaStage, canary) { canary(); }

TEST_F(TurboBoaStage, goes_on_from_its_checkpoint_with_the_same_bytes) {
  FakeContext whole(parameters_of(turboboa_method().declaration, {}, 3, 16));
  run(whole);
  EXPECT_EQ(whole.checkpoints, (std::vector<std::int64_t>{1, 2}));
  FakeContext broken(parameters_of(turboboa_method().declaration, {}, 3, 16));
  broken.stop_at_checkpoint = 1;
  EXPECT_THAT(testing::refusal([&] { run(broken); }),
              HasSubstr("lost: stopped after 1 of 2 blocks"));
  broken.stop = false, broken.stop_at_checkpoint = -1;
  run(broken);
  EXPECT_EQ(broken.checkpoints, (std::vector<std::int64_t>{1, 2}));
  EXPECT_TRUE(codes(broken) == codes(whole));
  EXPECT_EQ(read_file(broken.output() / "losses.json"), read_file(whole.output() / "losses.json"));
}

TEST_F(TurboBoaStage, every_option_moves_the_codes_and_its_artifact_loads) {
  // Fewer rows a step than a head of the tiny network has.
  const Json few_rows = {{"rows_per_step", 4}};
  FakeContext defaults(parameters_of(turboboa_method().declaration, few_rows, 2, 16));
  run(defaults);
  for (Json given : std::vector<Json>{{{"group", 8}},
                                      {{"grid", "minmax"}},
                                      {{"grid", "mse"}},
                                      {{"symmetric", true}},
                                      {{"act_order_col", true}},
                                      {{"act_order_row", true}},
                                      {{"block_v", false}},
                                      {{"rows_per_step", 2}},
                                      {{"adaptive_grid", false}},
                                      {{"upstream", false}},
                                      {{"alpha", 0.05}},
                                      {{"refine_scale", false}},
                                      {{"sweeps", 3}},
                                      {{"damping", 0.1}}}) {
    if (!given.contains("rows_per_step")) given.update(few_rows);
    FakeContext context(parameters_of(turboboa_method().declaration, given, 2, 16));
    run(context);
    const std::unique_ptr<models::Network> network = opt(context);
    quant::apply_quantized(*network, context.output());
    EXPECT_TRUE(network->forward(quant::canary_inputs(*network, 2)).isfinite().all().item<bool>())
        << given;
    EXPECT_TRUE(codes(context) != codes(defaults)) << given;
  }
}

TEST_F(TurboBoaStage, activations_are_left_to_a_method_before_it) {
  FakeContext context(parameters_of(turboboa_method().declaration, {}, 3, 8));
  EXPECT_THAT(testing::refusal([&] { run(context); }),
              HasSubstr("unsupported: turboboa quantizes weights only"));
  FakeContext none(parameters_of(turboboa_method().declaration, {{"group", 0}}, 3, 16));
  EXPECT_THAT(testing::refusal([&] { run(none); }), HasSubstr("config: group = 0"));
}

}  // namespace
}  // namespace assay::turboboa
