#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/base/atomic_file.h"
#include "harness/models/tensor_file.h"
#include "methods/aespa/method.h"
#include "methods/quant/canary.h"
#include "tests/methods/support/method_parameters.h"
#include "tests/support/fake_context.h"
#include "tests/support/refusal.h"

namespace assay::aespa {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<models::Network> opt(StageContext&) { return quant::canary_network("opt"); }

const Json kShort = {{"iterations", 60}};

Json with_short(Json given) {
  if (!given.contains("iterations") && given.value("learn_rounding", true)) {
    given["iterations"] = kShort["iterations"];
  }
  return given;
}

class AespaStage : public ::testing::Test {
 protected:
  AespaStage() {
    models::save_tensors(
        tokens_.path() / "tokens.safetensors",
        {{"tokens", quant::canary_inputs(*quant::canary_network("opt"), 11).to(at::kInt)}});
  }
  Json run(FakeContext& context) {
    context.inputs["tokens"] = tokens_.path();
    return body_of(implementations(aespa_method(), opt), "aespa.quantize")(context);
  }
  static std::string codes(FakeContext& context) {
    return read_file(context.output() / "codes.safetensors");
  }

  TemporaryFolder tokens_;
};

TEST_F(AespaStage, canary) { canary(); }

TEST_F(AespaStage, goes_on_from_its_checkpoint_with_the_same_bytes) {
  FakeContext whole(parameters_of(aespa_method().declaration, kShort, 3, 16));
  run(whole);
  EXPECT_EQ(whole.checkpoints, (std::vector<std::int64_t>{1, 2}));
  FakeContext broken(parameters_of(aespa_method().declaration, kShort, 3, 16));
  broken.stop_at_checkpoint = 1;
  EXPECT_THAT(testing::refusal([&] { run(broken); }),
              HasSubstr("lost: stopped after 1 of 2 blocks"));
  broken.stop = false, broken.stop_at_checkpoint = -1;
  run(broken);
  EXPECT_EQ(broken.checkpoints, (std::vector<std::int64_t>{1, 2}));
  EXPECT_TRUE(codes(broken) == codes(whole));
  EXPECT_EQ(read_file(broken.output() / "losses.json"), read_file(whole.output() / "losses.json"));
}

TEST_F(AespaStage, every_option_moves_the_codes_and_its_artifact_loads) {
  FakeContext defaults(parameters_of(aespa_method().declaration, kShort, 2, 16));
  run(defaults);
  for (const Json& given : std::vector<Json>{{{"zfold", false}},
                                             {{"zfold_rounds", 1}},
                                             {{"symmetric", true}},
                                             {{"pre_update", false}},
                                             {{"act_order", false}},
                                             {{"learn_rounding", false}},
                                             {{"iterations", 100}},
                                             {{"learning_rate", 0.05}},
                                             {{"lambda_qkv", 0.01}},
                                             {{"lambda_other", 0.01}},
                                             {{"block_v", false}},
                                             {{"damping", 0.1}},
                                             {{"propagate", "float"}}}) {
    FakeContext context(parameters_of(aespa_method().declaration, with_short(given), 2, 16));
    run(context);
    const std::unique_ptr<models::Network> network = opt(context);
    quant::apply_quantized(*network, context.output());
    EXPECT_TRUE(network->forward(quant::canary_inputs(*network, 2)).isfinite().all().item<bool>())
        << given;
    EXPECT_TRUE(codes(context) != codes(defaults)) << given;
  }
}

TEST_F(AespaStage, activations_are_left_to_a_method_before_it) {
  FakeContext context(parameters_of(aespa_method().declaration, kShort, 3, 8));
  EXPECT_THAT(testing::refusal([&] { run(context); }),
              HasSubstr("unsupported: aespa quantizes weights only"));
}

}  // namespace
}  // namespace assay::aespa
