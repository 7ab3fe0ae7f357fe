#include <gtest/gtest.h>

#include "harness/spec/sweep.h"
#include "tests/support/sweep_text.h"

namespace assay::spec {
namespace {

// Each trial as "swing learned_scale qdrop | tags".
std::string table_of(const std::string& ablate) {
  const Sweep sweep = assay::testing::sweep_of(assay::testing::kModels + ablate);
  std::string table;
  for (const Trial& trial : sweep.trials) {
    const Json& p = sweep.steps[trial.steps.back()].parameters;
    for (const char* name : {"swing", "learned_scale", "qdrop"}) {
      table += p.at(name).get<bool>() ? '+' : '-';
    }
    for (const AblationTag& tag : trial.ablations)
      table += " | " + tag.ablation + ": " + tag.variant;
    table += "\n";
  }
  return table;
}

const std::string kBase = "ablate:\n  base: {model: resnet, method: genie, bits: W4A4}\n";

TEST(Ablation, leaves_one_out_unless_told_otherwise) {
  EXPECT_EQ(table_of(kBase + "  without: [swing, qdrop]\n"),
            "+++ | ablate: base\n"
            "-++ | ablate: without swing\n"
            "++- | ablate: without qdrop\n");
}

TEST(Ablation, add_one_turns_each_on_alone) {
  EXPECT_EQ(table_of(kBase + "  without: [swing, learned_scale, qdrop]\n  mode: add_one\n"),
            "+++ | ablate: base\n"
            "--- | ablate: without all\n"
            "+-- | ablate: only swing\n"
            "-+- | ablate: only learned_scale\n"
            "--+ | ablate: only qdrop\n");
}

TEST(Ablation, factorial_makes_all_combinations) {
  EXPECT_EQ(table_of(kBase + "  without: [swing, genie.qdrop]\n  mode: factorial\n"),
            "+++ | ablate: base\n"
            "-++ | ablate: without swing\n"
            "++- | ablate: without genie.qdrop\n"
            "-+- | ablate: without swing genie.qdrop\n");
}

TEST(Ablation, a_trial_of_the_sweep_and_of_two_ablations_is_one_trial_with_two_tags) {
  EXPECT_EQ(table_of("trials: [{model: resnet, method: genie, bits: W4A4}]\n"
                     "ablate:\n"
                     "  - {name: first, base: {model: resnet, method: genie, bits: W4A4}, without: "
                     "[swing]}\n"
                     "  - {base: {model: resnet, method: genie, bits: W4A4}, without: swing}\n"),
            "+++ | first: base | ablate[1]: base\n"
            "-++ | first: without swing | ablate[1]: without swing\n");
}

TEST(Ablation, the_base_may_have_several_seeds) {
  EXPECT_EQ(table_of("ablate:\n  base: {model: resnet, method: genie, bits: W4A4, seed: [0, 1]}\n"
                     "  without: [swing]\n"),
            "+++ | ablate: base\n-++ | ablate: without swing\n"
            "+++ | ablate: base\n-++ | ablate: without swing\n");
}

TEST(Ablation, vary_changes_one_parameter_at_a_time) {
  const Sweep sweep = assay::testing::sweep_of(
      assay::testing::kModels +
      std::string("ablate:\n  base: {model: opt, method: smoothquant + gptq, bits: W4A8}\n"
                  "  vary: {alpha: [0.5, 0.7], gptq.group: [64]}\n"));
  EXPECT_EQ(assay::testing::lines_of(sweep),
            "opt smoothquant alpha=0.5 calibration=128 + gptq calibration=128 damping=0.01 "
            "group=-1 W4A8 cseed=0 on text [ablate: base] [ablate: alpha = 0.5]\n"
            "opt smoothquant alpha=0.7 calibration=128 + gptq calibration=128 damping=0.01 "
            "group=-1 W4A8 cseed=0 on text [ablate: alpha = 0.7]\n"
            "opt smoothquant alpha=0.5 calibration=128 + gptq calibration=128 damping=0.01 "
            "group=64 W4A8 cseed=0 on text [ablate: gptq.group = 64]\n");
}

}  // namespace
}  // namespace assay::spec
