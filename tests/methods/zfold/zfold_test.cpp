#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "methods/gptq/method.h"
#include "methods/zfold/method.h"
#include "tests/methods/support/weights_only_stage.h"

namespace assay::zfold {
namespace {

const WeightsOnlyStage& stage() {
  static const WeightsOnlyStage made(zfold_method());
  return made;
}

TEST(ZFoldStage, canary) { canary(); }

TEST(ZFoldStage, goes_on_from_its_checkpoint_with_the_same_bytes) {
  stage().expect_same_bytes_after_a_stop();
}

// Two rounds: the end of the alternation is decided by rounding noise.
TEST(ZFoldStage, golden_output_of_revision_3) {
  stage().expect_golden(3, {{"zfold_rounds", 2}}, 58398, 43.4861993456);
}

TEST(ZFoldStage, a_stop_is_heard_between_chunks) {
  stage().expect_a_stop_is_heard_between_chunks();
}

TEST(ZFoldStage, every_option_moves_the_codes_and_its_artifact_loads) {
  stage().expect_every_option_moves_the_codes({{{"zfold", false}},
                                               {{"zfold_rounds", 1}},
                                               {{"hessian", false}},
                                               {{"act_order", true}},
                                               {{"symmetric", true}},
                                               {{"damping", 0.1}},
                                               {{"propagate", "float"}}});
}

TEST(ZFoldStage, activations_are_left_to_a_method_before_it) {
  stage().expect_activations_are_left_to_others();
}

TEST(ZFoldStage, without_zeta_it_writes_what_gptq_writes) {
  const WeightsOnlyStage gptq(gptq_method());
  FakeContext ours(stage().parameters({{"zfold", false}}, 3));
  FakeContext theirs(gptq.parameters({{"grid", "hessian"}}, 3));
  stage().run(ours);
  gptq.run(theirs);
  EXPECT_TRUE(WeightsOnlyStage::codes(ours) == WeightsOnlyStage::codes(theirs));
}

TEST(ZFoldStage, one_symmetric_bit_is_refused_by_plan) {
  const auto refused = [](const Json& given, int bits, const char* family) {
    const FakeContext context(stage().parameters(given, bits));
    const auto network = quant::canary_network(family);
    return testing::refusal(
        [&] { zfold_method().stages.front().check({.context = context, .network = *network}); });
  };
  EXPECT_EQ(refused({}, 3, "opt"), "no error");
  EXPECT_THAT(refused({{"symmetric", true}}, 1, "opt"),
              ::testing::HasSubstr("unsupported: w_bits = 1"));
}

}  // namespace
}  // namespace assay::zfold
