#include <gtest/gtest.h>

#include "methods/aespa/method.h"
#include "tests/methods/support/weights_only_stage.h"

namespace assay::aespa {
namespace {

const WeightsOnlyStage& stage() {
  static const WeightsOnlyStage made(aespa_method(), {{"iterations", 60}});
  return made;
}

TEST(AespaStage, canary) { canary(); }

TEST(AespaStage, goes_on_from_its_checkpoint_with_the_same_bytes) {
  stage().expect_same_bytes_after_a_stop();
}

TEST(AespaStage,
     golden_output_of_revision_4) {  // Two rounds of Z-Fold: its end is decided by rounding noise.
  stage().expect_golden(4, {{"zfold_rounds", 2}}, 57774, 1.1484084580);
}

TEST(AespaStage, a_stop_is_heard_between_chunks) {
  stage().expect_a_stop_is_heard_between_chunks();
}

TEST(AespaStage, every_option_moves_the_codes_and_its_artifact_loads) {
  stage().expect_every_option_moves_the_codes({{{"zfold", false}},
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
                                               {{"propagate", "float"}}});
}

TEST(AespaStage, activations_are_left_to_a_method_before_it) {
  stage().expect_activations_are_left_to_others();
}

}  // namespace
}  // namespace assay::aespa
