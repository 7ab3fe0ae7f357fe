#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/spec/sweep.h"
#include "tests/harness/spec/sweep_fixture.h"
#include "tests/support/sweep_text.h"
#include "tests/support/test_catalogue.h"

// The trials that the blocks of a sweep expand to.

namespace assay::spec {
namespace {

using assay::testing::kModels;
using assay::testing::lines_of;

std::string trials_of(const std::string& block) {
  return lines_of(sweep_with("trials:\n" + block));
}

TEST(Trials, are_the_product_of_a_block_with_the_first_axis_outermost) {
  EXPECT_EQ(trials_of("  - {model: [vit, vit2], method: rtn, bits: [W8A8, W4A8]}\n"),
            "vit rtn range=\"minmax\" W8A8\n"
            "vit rtn range=\"minmax\" W4A8\n"
            "vit2 rtn range=\"minmax\" W8A8\n"
            "vit2 rtn range=\"minmax\" W4A8\n");
}

TEST(Trials, what_a_method_does_not_read_is_no_part_of_them) {
  EXPECT_EQ(trials_of("  - model: vit\n"
                      "    method: [float, rtn, psaq_vit]\n"
                      "    bits: [W8A8, W4A8]\n"
                      "    seed: [0, 1]\n"),
            "vit float\n"
            "vit rtn range=\"minmax\" W8A8\n"
            "vit rtn range=\"minmax\" W4A8\n"
            "vit psaq_vit images=32 steps=500 W8A8 seed=0\n"
            "vit psaq_vit images=32 steps=500 W8A8 seed=1\n"
            "vit psaq_vit images=32 steps=500 W4A8 seed=0\n"
            "vit psaq_vit images=32 steps=500 W4A8 seed=1\n");
}

TEST(Trials, a_rule_that_leaves_out_nothing_has_a_note) {
  const Sweep sweep = sweep_with(
      "trials:\n"
      "  - {model: vit, method: [float, rtn], bits: W4A8, exclude: [{where: \"bits == 'w4a8'\"}, "
      "{where: \"method == 'float'\"}]}\n");
  EXPECT_EQ(sweep.trials.size(), 1u);
  ASSERT_EQ(sweep.notes.size(), 1u);
  EXPECT_THAT(sweep.notes[0],
              ::testing::EndsWith("exclude: \"bits == 'w4a8'\" leaves out nothing"));
}

TEST(Trials, parameters_of_a_method_are_axes_of_its_trials_only) {
  EXPECT_EQ(trials_of("  - model: vit\n"
                      "    method: [rtn, psaq_vit]\n"
                      "    bits: W4A8\n"
                      "    psaq_vit: {images: [8, 16], steps: [1, 2]}\n"),
            "vit rtn range=\"minmax\" W4A8\n"
            "vit psaq_vit images=8 steps=1 W4A8 seed=0\n"
            "vit psaq_vit images=8 steps=2 W4A8 seed=0\n"
            "vit psaq_vit images=16 steps=1 W4A8 seed=0\n"
            "vit psaq_vit images=16 steps=2 W4A8 seed=0\n");
}

TEST(Trials, the_mapping_form_gives_each_method_its_parameters) {
  EXPECT_EQ(trials_of("  - model: opt\n"
                      "    method: {gptq: {group: [-1, 128]}, rtn: {range: mse}, \"smoothquant + "
                      "gptq\": {alpha: 0.8, gptq: {group: 64}}, float: }\n"
                      "    bits: W3A16\n"),
            "opt gptq calibration=128 damping=0.01 group=-1 W3A16 cseed=0 on text\n"
            "opt gptq calibration=128 damping=0.01 group=128 W3A16 cseed=0 on text\n"
            "opt rtn range=\"mse\" W3A16\n"
            "opt smoothquant alpha=0.8 calibration=128 + gptq calibration=128 damping=0.01 "
            "group=64 W3A16 cseed=0 on text\n"
            "opt float\n");
}

TEST(Trials, a_parameter_of_a_composition_reaches_every_step_that_has_it) {
  EXPECT_EQ(
      trials_of("  - {model: opt, method: \"smoothquant+gptq\", bits: W8A8, calibration: 64}\n"),
      "opt smoothquant alpha=0.5 calibration=64 + gptq calibration=64 damping=0.01 group=-1 "
      "W8A8 cseed=0 on text\n");
  EXPECT_EQ(trials_of("  - {model: opt, method: smoothquant + gptq, bits: W8A8, "
                      "gptq.calibration: 64}\n"),
            "opt smoothquant alpha=0.5 calibration=128 + gptq calibration=64 damping=0.01 group=-1 "
            "W8A8 cseed=0 on text\n");
}

TEST(Trials, a_list_parameter_takes_its_list_whole) {
  EXPECT_EQ(trials_of("  - {model: vit, method: train, schedule: [0.1, 0.01]}\n"),
            "vit train epochs=1 schedule=[0.1,0.01] seed=0 on fashion\n");
  EXPECT_EQ(trials_of("  - {model: vit, method: {train: {schedule: [[0.1], [1, 2]]}}}\n"),
            "vit train epochs=1 schedule=[0.1] seed=0 on fashion\n"
            "vit train epochs=1 schedule=[1.0,2.0] seed=0 on fashion\n");
}

TEST(Trials, zip_walks_its_lists_together) {
  EXPECT_EQ(trials_of("  - zip: {model: [opt, opt2], calibration: [128, 64]}\n"
                      "    method: gptq\n"
                      "    bits: [W4A16, W3A16]\n"),
            "opt gptq calibration=128 damping=0.01 group=-1 W4A16 cseed=0 on text\n"
            "opt gptq calibration=128 damping=0.01 group=-1 W3A16 cseed=0 on text\n"
            "opt2 gptq calibration=64 damping=0.01 group=-1 W4A16 cseed=0 on text\n"
            "opt2 gptq calibration=64 damping=0.01 group=-1 W3A16 cseed=0 on text\n");
}

TEST(Trials, two_zips_are_multiplied) {
  EXPECT_EQ(trials_of("  - zip: [{model: [opt, opt2], group: [64, 32]}, {bits: [W4A16, W3A16], "
                      "calibration_seed: [5, 6]}]\n"
                      "    method: gptq\n"),
            "opt gptq calibration=128 damping=0.01 group=64 W4A16 cseed=5 on text\n"
            "opt gptq calibration=128 damping=0.01 group=64 W3A16 cseed=6 on text\n"
            "opt2 gptq calibration=128 damping=0.01 group=32 W4A16 cseed=5 on text\n"
            "opt2 gptq calibration=128 damping=0.01 group=32 W3A16 cseed=6 on text\n");
}

TEST(Trials, exclude_sees_the_axes_before_points_collapse) {
  EXPECT_EQ(trials_of("  - model: vit\n"
                      "    method: [float, psaq_vit]\n"
                      "    bits: [W8A8, W4A8]\n"
                      "    seed: [0, 1]\n"
                      "    exclude: {where: \"method == 'psaq_vit' and bits == 'W8A8' and seed != "
                      "0\"}\n"),
            "vit float\n"
            "vit psaq_vit images=32 steps=500 W8A8 seed=0\n"
            "vit psaq_vit images=32 steps=500 W4A8 seed=0\n"
            "vit psaq_vit images=32 steps=500 W4A8 seed=1\n");
}

TEST(Trials, exclude_knows_parameters_bits_and_families) {
  const std::string block =
      "  - model: [vit, opt]\n"
      "    method: [rtn, psaq_vit]\n"
      "    bits: [W8A8, W4A4]\n"
      "    psaq_vit: {images: [8, 16]}\n"
      "    exclude:\n"
      "      - {where: \"method == 'psaq_vit' and family != 'vit'\"}\n"
      "      - {where: [\"images > 8 and w_bits < 8\", \"task == 'language' and a_bits == 8\"]}\n";
  EXPECT_EQ(trials_of(block),
            "vit rtn range=\"minmax\" W8A8\n"
            "vit rtn range=\"minmax\" W4A4\n"
            "vit psaq_vit images=8 steps=500 W8A8 seed=0\n"
            "vit psaq_vit images=16 steps=500 W8A8 seed=0\n"
            "vit psaq_vit images=8 steps=500 W4A4 seed=0\n"
            "opt rtn range=\"minmax\" W4A4\n");
}

TEST(Trials, a_method_of_another_family_may_be_skipped) {
  const Sweep sweep = sweep_with(
      "run: {impossible: skip}\n"
      "trials:\n"
      "  - {model: [vit, opt], method: [rtn, gptq], bits: [W8A16, W4A16]}\n"
      "  - {model: vit, method: [float, gptq], bits: W4A16}\n");
  EXPECT_EQ(sweep.trials.size(), 2U + 2U + 2U + 1U);
  ASSERT_EQ(sweep.skipped.size(), 1U);  // told once
  EXPECT_EQ(sweep.skipped[0].model, "vit");
  EXPECT_EQ(sweep.skipped[0].method, "gptq");
  EXPECT_EQ(sweep.skipped[0].reason, "method 'gptq' is for opt, model 'vit' is of family vit");
}

TEST(Trials, calibration_data_and_seed_default_to_the_models_data_and_the_seed) {
  EXPECT_EQ(trials_of("  - {model: opt, method: gptq, bits: W4A16, seed: [3, 4]}\n"),
            "opt gptq calibration=128 damping=0.01 group=-1 W4A16 cseed=3 on text\n"
            "opt gptq calibration=128 damping=0.01 group=-1 W4A16 cseed=4 on text\n");
  EXPECT_EQ(trials_of("  - {model: opt, method: gptq, bits: W4A16, seed: [3, 4], "
                      "calibration_seed: 7}\n"),
            "opt gptq calibration=128 damping=0.01 group=-1 W4A16 cseed=7 on text\n");
}

TEST(Trials, what_serves_an_input_that_does_not_exist_is_no_part_of_them) {
  const spec::Sweep sweep = assay::testing::sweep_of(
      kModels +
      std::string("trials:\n  - {model: opt, method: ranged, bits: [W4A16, W4A8], seed: [0, 1, 2], "
                  "calibration: [128, 64]}\n"));
  EXPECT_EQ(lines_of(sweep),
            "opt ranged act=\"fixed\" W4A16\n"
            "opt ranged act=\"fixed\" calibration=128 W4A8 cseed=0 on text\n"
            "opt ranged act=\"fixed\" calibration=64 W4A8 cseed=0 on text\n"
            "opt ranged act=\"fixed\" calibration=128 W4A8 cseed=1 on text\n"
            "opt ranged act=\"fixed\" calibration=64 W4A8 cseed=1 on text\n"
            "opt ranged act=\"fixed\" calibration=128 W4A8 cseed=2 on text\n"
            "opt ranged act=\"fixed\" calibration=64 W4A8 cseed=2 on text\n");
  EXPECT_EQ(sweep.trials[0].points, 6U);
  EXPECT_EQ(sweep.trials[1].points, 1U);
}

TEST(Trials, a_parameter_decides_whether_calibration_is_part_of_them) {
  EXPECT_EQ(trials_of("  - {model: opt, method: ranged, bits: W4A8, seed: [0, 1], act: [fixed, "
                      "dynamic]}\n"),
            "opt ranged act=\"fixed\" calibration=128 W4A8 cseed=0 on text\n"
            "opt ranged act=\"dynamic\" W4A8\n"
            "opt ranged act=\"fixed\" calibration=128 W4A8 cseed=1 on text\n");
}

TEST(Trials, a_trial_without_calibration_needs_no_data) {
  const std::string models = "assay: 1\nmodels: {opt: {family: opt, weights: /m/opt}}\ntrials:\n";
  EXPECT_EQ(lines_of(assay::testing::sweep_of(
                models + "  - {model: opt, method: ranged, bits: W4A16, seed: [0, 1]}\n")),
            "opt ranged act=\"fixed\" W4A16\n");
  EXPECT_THAT(assay::testing::refusal_of(models +
                                         "  - {model: opt, method: ranged, bits: [W4A16, W4A8]}\n"),
              ::testing::HasSubstr("method 'ranged' needs data"));
}

TEST(Block, a_method_may_have_a_parameter_of_its_own_name) {
  Catalogue catalogue = assay::testing::test_catalogue();
  catalogue.methods.push_back(
      {.name = "clip",
       .parameters = {{.name = "clip", .type = ParameterType::kReal, .default_value = 1.0}},
       .network = "smoothquant.smooth"});
  catalogue.stages.push_back({.name = "clip.network", .reads = {"clip"}});
  catalogue.methods.back().network = "clip.network";
  const assay::TemporaryFolder folder;
  const auto read = [&](const std::string& block) {
    return lines_of(load_sweep(
        folder.write("a.yaml", std::string(kModels) + "evaluate: []\ntrials: [" + block + "]\n"),
        {}, catalogue));
  };
  EXPECT_EQ(read("{model: vit, method: clip, clip: {clip: 0.5}}"), "vit clip clip=0.5\n");
  EXPECT_EQ(read("{model: vit, method: clip, clip: [0.5, 0.25]}"),
            "vit clip clip=0.5\nvit clip clip=0.25\n");
  EXPECT_EQ(read("{model: vit, method: {clip: {clip: 0.5}}}"), "vit clip clip=0.5\n");
}

TEST(TooManyPoints, are_refused_with_their_number) {
  std::string seeds = "0";
  for (int i = 1; i < 4'000; ++i) seeds += "," + std::to_string(i);
  EXPECT_EQ(assay::testing::refusal_of(std::string(kModels) +
                                       "trials:\n  - model: vit\n    method: psaq_vit\n"
                                       "    bits: W4A4\n    seed: [" +
                                       seeds + "]\n    calibration_seed: [" + seeds + "]\n"),
            "sweep.yaml:8:5: trials[0] has 16000000 combinations; at most 10000000 are allowed");
}

}  // namespace
}  // namespace assay::spec
