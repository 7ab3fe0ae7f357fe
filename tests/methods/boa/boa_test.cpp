#include <gtest/gtest.h>

#include "methods/boa/method.h"
#include "tests/methods/support/weights_only_stage.h"

namespace assay::boa {
namespace {

const WeightsOnlyStage& stage() {
  static const WeightsOnlyStage made(boa_method());
  return made;
}

TEST(BoaStage, canary) { canary(); }

TEST(BoaStage, goes_on_from_its_checkpoint_with_the_same_bytes) {
  stage().expect_same_bytes_after_a_stop();
}

TEST(BoaStage, golden_output_of_revision_3) { stage().expect_golden(3, {}, 57828, 0.7918297192); }

TEST(BoaStage, a_stop_is_heard_between_chunks) { stage().expect_a_stop_is_heard_between_chunks(); }

TEST(BoaStage, every_option_moves_the_codes_and_its_artifact_loads) {
  stage().expect_every_option_moves_the_codes({{{"group", 8}},
                                               {{"grid", "minmax"}},
                                               {{"grid", "mse"}},
                                               {{"symmetric", true}},
                                               {{"act_order_col", true}},
                                               {{"act_order_row", true}},
                                               {{"block_v", false}},
                                               {{"damping", 0.1}},
                                               {{"v_row_hessian", true}},
                                               {{"propagate", "float"}}});
}

TEST(BoaStage, activations_are_left_to_a_method_before_it) {
  stage().expect_activations_are_left_to_others();
}

TEST(BoaStage, a_group_of_no_columns_is_refused) {
  stage().expect_config_refusal({{"group", 0}}, "group = 0");
}

}  // namespace
}  // namespace assay::boa
