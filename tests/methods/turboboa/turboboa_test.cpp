#include <gtest/gtest.h>

#include "methods/turboboa/method.h"
#include "tests/methods/support/weights_only_stage.h"

namespace assay::turboboa {
namespace {

// Fewer rows a step than a head of the tiny network has.
const WeightsOnlyStage& stage() {
  static const WeightsOnlyStage made(turboboa_method(), {{"rows_per_step", 4}});
  return made;
}

TEST(TurboBoaStage, canary) { canary(); }

TEST(TurboBoaStage, goes_on_from_its_checkpoint_with_the_same_bytes) {
  stage().expect_same_bytes_after_a_stop();
}

TEST(TurboBoaStage, golden_output_of_revision_3) {
  stage().expect_golden(3, {}, 58064, 0.7842035974);
}

TEST(TurboBoaStage, a_stop_is_heard_between_chunks) {
  stage().expect_a_stop_is_heard_between_chunks();
}

TEST(TurboBoaStage, every_option_moves_the_codes_and_its_artifact_loads) {
  stage().expect_every_option_moves_the_codes({{{"group", 8}},
                                               {{"grid", "minmax"}},
                                               {{"grid", "mse"}},
                                               {{"symmetric", true}},
                                               {{"act_order_col", true}},
                                               {{"act_order_row", true}},
                                               {{"block_v", false}},
                                               {{"damping", 0.1}},
                                               {{"rows_per_step", 2}},
                                               {{"adaptive_grid", false}},
                                               {{"upstream", false}},
                                               {{"alpha", 0.05}},
                                               {{"refine_scale", false}},
                                               {{"sweeps", 3}}});
}

TEST(TurboBoaStage, activations_are_left_to_a_method_before_it) {
  stage().expect_activations_are_left_to_others();
}

TEST(TurboBoaStage, a_group_of_no_columns_is_refused) {
  stage().expect_config_refusal({{"group", 0}}, "group = 0");
}

}  // namespace
}  // namespace assay::turboboa
