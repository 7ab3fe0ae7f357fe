#include "harness/plan/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay::plan {
namespace {

// float and two quantizations of one synthesis, each evaluated.
Plan small_plan() {
  Plan plan;
  plan.sweep = "small";
  plan.stages.resize(5);
  const char* names[] = {"evaluate", "synthesize", "quantize", "evaluate", "quantize"};
  for (std::size_t i = 0; i < 5; ++i) {
    plan.stages[i].key = "k" + std::to_string(i);
    plan.stages[i].name = names[i];
  }
  plan.stages[2].inputs = {{"images", "k1"}};
  plan.stages[3].inputs = {{"network", "k2"}};
  plan.stages[4].inputs = {{"images", "k1"}};
  plan.stages[1].retention = Retention::kTemporary;
  plan.stages[2].retention = Retention::kTemporary;
  plan.trials.resize(3);
  plan.trials[0].id = "a";
  plan.trials[0].label = "float";
  plan.trials[0].stages = {0};
  plan.trials[0].deterministic = true;
  plan.trials[0].points = 3;
  plan.trials[1].id = "b";
  plan.trials[1].label = "W8A8";
  plan.trials[1].stages = {1, 2, 3};
  plan.trials[2].id = "c";
  plan.trials[2].label = "W4A8";
  plan.trials[2].stages = {1, 4};
  plan.left_out = {{"a", "perplexity", "no"}, {"b", "perplexity", "no"}, {"c", "top1", "why"}};
  return plan;
}

TEST(PlanSummary, counts_what_is_shared_and_done) {
  const PlanSummary summary = describe_plan(
      small_plan(), [](const std::string& key) { return key == "k1" || key == "k0"; });
  EXPECT_EQ(summary.stages, 5);
  EXPECT_EQ(summary.done, 2);
  EXPECT_EQ(summary.unshared_stages, 6);
  ASSERT_EQ(summary.by_stage.size(), 3U);
  EXPECT_EQ(summary.by_stage[0].name, "evaluate");
  EXPECT_EQ(summary.by_stage[0].stages, 2);
  EXPECT_EQ(summary.by_stage[0].done, 1);
  EXPECT_EQ(summary.by_stage[1].shared, 1);
  EXPECT_EQ(summary.by_stage[1].uses, 2);
  EXPECT_EQ(summary.by_trial[1].done, 1);
  EXPECT_EQ(summary.expected_s, std::nullopt);
  EXPECT_EQ(summary.peak_store_bytes, std::nullopt);
  ASSERT_EQ(summary.left_out.size(), 2U);
  EXPECT_EQ(summary.left_out[0].pairs, 2);
  EXPECT_EQ(summary.left_out[0].example, "float");
}

TEST(PlanSummary, sums_known_times_and_says_how_many_are_unknown) {
  const PlanSummary summary =
      describe_plan(small_plan(), [](const std::string& key) { return key == "k0"; },
                    {.wall_s = {{"evaluate", 10}, {"quantize", 3}}});
  EXPECT_EQ(summary.expected_s, 16);
  EXPECT_EQ(summary.stages_without_cost, 1);
}

TEST(PlanSummary, temporary_artifacts_leave_when_their_last_consumer_is_done) {
  const PlanSummary summary =
      describe_plan(small_plan(), [](const std::string&) { return false; },
                    {.size_bytes = {{"synthesize", 100}, {"quantize", 50}, {"evaluate", 1}}});
  // evaluate 1 + synthesize 100 + quantize 50 + evaluate 1, then -50 + 50.
  EXPECT_EQ(summary.peak_store_bytes, 152);
}

TEST(PlanSummary, seeds_and_shards_do_not_move_the_cost_of_a_stage) {
  EXPECT_EQ(kind_of("gptq.quantize tiny W4A16 seed=3 calibration_seed=4"),
            "gptq.quantize tiny W4A16");
  EXPECT_EQ(kind_of("evaluate.language tiny text test W4A16 [2/8]"),
            "evaluate.language tiny text test W4A16");
}

TEST(PlanSummary, the_kind_of_a_stage_tells_more_of_its_cost_than_its_name) {
  Plan plan = small_plan();
  for (Stage& stage : plan.stages) stage.label = stage.name + " big seed=1";
  const PlanSummary summary =
      describe_plan(plan, [](const std::string&) { return false; },
                    {.wall_s = {{"evaluate", 10}, {"evaluate big", 100}, {"quantize", 3}}});
  EXPECT_EQ(summary.expected_s, 206);
}

TEST(PlanSummary, slots_share_the_work_but_not_a_chain_and_not_what_runs_alone) {
  Plan plan = small_plan();
  const auto none = [](const std::string&) { return false; };
  const Costs costs{.wall_s = {{"evaluate", 10}, {"quantize", 3}, {"synthesize", 5}}};
  EXPECT_EQ(describe_plan(plan, none, costs, 1).expected_wall_s, 31);
  // synthesize, quantize, evaluate
  EXPECT_EQ(describe_plan(plan, none, costs, 8).expected_wall_s, 18);
  for (Stage& stage : plan.stages) stage.exclusive = stage.name == "evaluate";
  EXPECT_EQ(describe_plan(plan, none, costs, 2).expected_wall_s, 20 + 11.0 / 2);
}

}  // namespace
}  // namespace assay::plan
