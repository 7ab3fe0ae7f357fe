#include <gtest/gtest.h>

#include "tests/harness/schedule/scenario.h"

namespace assay::schedule {
namespace {

using record::StageState;

TEST(placement, the_longest_remaining_path_goes_first) {
  Scenario s;
  s.options().stage_wall_s = {{"short", 1}, {"head", 1}, {"tail", 50}};
  s.stage("short");
  s.stage("head");
  s.stage("tail", {"head"});
  s.start();
  s.join(0);
  EXPECT_EQ(s.on(0), "head");
}

TEST(placement, what_was_learned_reorders_the_queue) {
  Scenario s;
  s.stage("first");
  s.stage("quick").name = "quick";
  auto& slow = s.stage("slow");
  slow.name = "first";
  s.start();
  s.join(0);
  ASSERT_EQ(s.on(0), "first");
  s.done("first", 500);
  EXPECT_EQ(s.on(0), "quick");  // unknown counts as the mean of what is known, then plan order
}

TEST(placement, prefers_the_slot_that_holds_the_model) {
  Scenario s;
  s.stage("a1").residency = "model-a";
  s.stage("b1").residency = "model-b";
  s.stage("b2", {"b1"}).residency = "model-b";
  s.stage("a2", {"a1"}).residency = "model-a";
  s.start();
  s.join(0);
  s.join(1);
  ASSERT_EQ(s.on(0), "a1");
  ASSERT_EQ(s.on(1), "b1");
  s.done("b1");
  EXPECT_EQ(s.on(1), "b2");
  s.done("a1");
  EXPECT_EQ(s.on(0), "a2");
}

TEST(placement, work_for_a_warm_executor_goes_before_equal_work) {
  Scenario s;
  s.stage("a1").residency = "model-a";
  s.stage("b1").residency = "model-b";
  s.stage("a2").residency = "model-a";
  s.options().ahead_horizon_s = -1;
  s.start();
  s.join(0);
  ASSERT_EQ(s.on(0), "a1");
  s.done("a1");
  EXPECT_EQ(s.on(0), "a2");
}

TEST(placement, admits_by_the_memory_of_the_node) {
  Scenario s;
  s.stage("one").resources.memory_bytes = 6 * kGib;
  s.stage("two").resources.memory_bytes = 6 * kGib;
  s.stage("small").resources.memory_bytes = kGib;
  s.start();
  s.join(0, "a", {1, 4 * kGib, 0, 0});
  s.join(1, "a", {1, 4 * kGib, 0, 0});
  EXPECT_EQ(s.coordinator().slots().busy(), 2u);
  EXPECT_EQ(s.starts("two"), 0);
  EXPECT_EQ(s.starts("one") + s.starts("small"), 2);
}

TEST(placement, a_stage_that_fits_nowhere_fails_with_what_it_asks_for) {
  Scenario s;
  s.stage("huge").resources.gpus = 1;
  s.start();
  s.join(0);
  s.wait(31);
  ASSERT_EQ(s.state("huge"), StageState::kFailed);
  const auto settle = s.all<SettleStage>().back();
  EXPECT_EQ(settle.kind, "environment");
  EXPECT_NE(settle.message.find("1 GPU"), std::string::npos) << settle.message;
}

// Three trials of three stages each on two slots.
TEST(placement, trials_are_completed_one_after_the_other) {
  Scenario s;
  std::vector<std::string> finished;
  for (const std::string trial : {"a", "b", "c", "d"}) {
    s.stage(trial + "1").name = "quantize";
    s.stage(trial + "2", {trial + "1"}).name = "evaluate";
    s.stage(trial + "3", {trial + "2"}).name = "merge";
    s.trial({trial + "1", trial + "2", trial + "3"});
  }
  s.options().stage_wall_s = {{"quantize", 1}, {"evaluate", 1}, {"merge", 1}};
  s.options().ahead_horizon_s = -1;
  s.start();
  s.join(0);
  for (int i = 0; i < 12; ++i) {
    finished.push_back(s.on(0));
    s.done(s.on(0));
  }
  EXPECT_EQ(finished, (std::vector<std::string>{"a1", "a2", "a3", "b1", "b2", "b3", "c1", "c2",
                                                "c3", "d1", "d2", "d3"}));
}

TEST(placement, the_trial_with_the_least_work_left_goes_first) {
  Scenario s;
  s.stage("synthesize");
  s.stage("shared");
  s.stage("float", {"shared"});
  s.stage("quantized", {"synthesize", "shared"});
  s.trial({"synthesize", "shared", "quantized"});
  s.trial({"shared", "float"});
  s.options().stage_wall_s = {{"synthesize", 5}, {"shared", 5}, {"float", 5}, {"quantized", 5}};
  s.options().ahead_horizon_s = -1;
  s.start();
  s.join(0);
  ASSERT_EQ(s.on(0), "shared");
  s.done("shared", 5);
  EXPECT_EQ(s.on(0), "float");
}

// Short trials come first until what is left would wait for the long one.
TEST(placement, a_path_that_decides_the_end_of_the_run_goes_first) {
  Scenario s;
  s.stage("long");
  s.trial({"long"});
  for (int i = 0; i < 100; ++i) {
    s.stage("s" + std::to_string(i)).name = "short";
    s.trial({"s" + std::to_string(i)});
  }
  s.options().stage_wall_s = {{"long", 10}, {"short", 1}};
  s.options().ahead_horizon_s = -1;
  s.start();
  s.join(0);
  s.join(1);
  EXPECT_EQ(s.on(0), "s0");
  int before = 0;
  while (s.starts("long") == 0 && before < 100) {
    ++before;
    s.done(s.on(0));
    if (s.starts("long") == 0) s.done(s.on(1));
  }
  EXPECT_GE(before, 25);  // 50 rows are there
  EXPECT_LE(before, 45);  // and at least 10 s of other work are left beside it
}

TEST(placement, exclusive_stages_start_at_once_and_then_in_growing_batches) {
  Scenario s;
  constexpr int kTrials = 16;
  for (int i = 0; i < kTrials; ++i) {
    const std::string number = std::to_string(i);
    s.stage("work" + number).name = "work";
    s.stage("time" + number, {"work" + number}).name = "time";
    s.plan().stages.back().exclusive = true;
    s.trial({"work" + number, "time" + number});
  }
  s.options().stage_wall_s = {{"work", 1}, {"time", 1}};
  s.options().ahead_horizon_s = -1;
  s.start();
  s.join(0);
  s.join(1);
  std::vector<int> batches;  // exclusive stages in a row
  bool in_batch = false;
  for (int step = 0; step < 200 && s.coordinator().slots().busy() > 0; ++step) {
    const SlotId slot = s.on(0).empty() ? 1 : 0;
    const std::string label = s.on(slot);
    const bool exclusive = label.starts_with("time");
    if (slot == 0 || exclusive) s.wait(1);  // both slots work at once
    if (exclusive && !in_batch) batches.push_back(0);
    if (exclusive) ++batches.back();
    in_batch = exclusive;
    s.done(label);
  }
  ASSERT_GE(batches.size(), 2u);
  EXPECT_LE(batches.front(), 2);  // the one that was first, and what became ready meanwhile
  EXPECT_LE(batches.size(), 6u);
  int total = 0;
  for (const int batch : batches) total += batch;
  EXPECT_EQ(total, kTrials);
}

TEST(placement, an_exclusive_stage_waits_until_the_slots_of_a_node_end_together) {
  Scenario s;
  s.options().stage_wall_s = {{"x", 1}, {"long", 10}, {"time", 1}, {"work", 2}};
  s.options().ahead_horizon_s = -1;
  s.stage("x");
  s.stage("long");
  s.stage("time", {"x"}).exclusive = true;
  for (int i = 0; i < 8; ++i) s.stage("work" + std::to_string(i), {"x"}).name = "work";
  s.trial({"x", "time"});
  s.start();
  s.join(0);
  s.join(1);
  ASSERT_EQ(s.on(0), "x");
  ASSERT_EQ(s.on(1), "long");
  s.wait(1);
  s.done("x");
  for (int i = 0; i < 4; ++i) {  // emptying the node now would idle a slot for 9, 7, 5, 3 s
    ASSERT_TRUE(s.on(0).starts_with("work")) << i << s.on(0);
    s.wait(2);
    s.done(s.on(0), 2);
  }
  EXPECT_EQ(s.on(0), "") << "1 s until `long` ends";
  s.wait(1);
  s.done("long", 10);
  EXPECT_EQ(s.starts("time"), 1);
}

TEST(placement, an_exclusive_stage_of_the_first_row_starts_on_the_empty_node) {
  Scenario s;
  s.options().stage_wall_s = {{"work", 1}, {"time", 1}, {"long", 100}};
  s.stage("long");
  s.stage("work");
  s.stage("time").exclusive = true;
  s.trial({"long"});
  s.trial({"work", "time"});
  s.start();
  s.join(0);
  EXPECT_EQ(s.on(0), "time");
  s.join(1);
  s.done("time");
  EXPECT_EQ(s.on(0), "work");
  EXPECT_EQ(s.on(1), "long");
}

TEST(placement, what_completes_the_first_row_goes_before_the_longest_path) {
  Scenario s;
  s.options().stage_wall_s = {{"work", 1}, {"merge", 0.1}, {"long", 100}};
  for (const char* label : {"l1", "l2", "l3"}) {
    s.stage(label).name = "long";
    s.trial({label});
  }
  s.stage("work");
  s.stage("merge", {"work"});
  s.trial({"work", "merge"});
  s.start();
  s.join(0);
  s.join(1);
  ASSERT_EQ(s.on(0), "work");
  ASSERT_EQ(s.on(1), "l1");
  EXPECT_EQ(s.ahead(0), "") << "the first row would wait for what is queued there";
  s.done("work");
  EXPECT_EQ(s.on(0), "merge");
  s.done("merge", 0.1);
  EXPECT_EQ(s.on(0), "l2");
}

TEST(placement, an_exclusive_stage_drains_its_node_and_runs_alone) {
  Scenario s;
  s.options().stage_wall_s = {{"time", 100}, {"x", 1}, {"y", 1}, {"z", 2}};
  s.stage("x");
  s.stage("y");
  s.stage("gate", {"x"});
  s.stage("time", {"x"}).exclusive = true;
  s.stage("z", {"x"});
  s.start();
  s.join(0);
  s.join(1);
  ASSERT_EQ(s.on(0), "x");
  ASSERT_EQ(s.on(1), "y");
  s.done("x");  // `time` is next, but y still runs: nothing that takes longer may start meanwhile
  EXPECT_EQ(s.on(0), "");
  s.done("y");
  EXPECT_EQ(s.coordinator().slots().busy(), 1u);
  EXPECT_EQ(s.starts("time"), 1);
  s.done("time", 100);
  EXPECT_EQ(s.coordinator().slots().busy(), 2u);
}

TEST(placement, a_node_that_empties_takes_what_ends_before_its_last_stage) {
  Scenario s;
  s.options().stage_wall_s = {{"time", 200}, {"x", 1}, {"y", 50}, {"z", 20}, {"w", 60}};
  s.stage("x");
  s.stage("y");
  s.stage("time", {"x"}).exclusive = true;
  for (int i = 0; i < 2; ++i) s.stage("w" + std::to_string(i), {"x"}).name = "w";
  for (int i = 0; i < 4; ++i) s.stage("z" + std::to_string(i), {"x"}).name = "z";
  s.start();
  s.join(0);
  s.join(1);
  ASSERT_EQ(s.on(0), "x");
  ASSERT_EQ(s.on(1), "y");
  s.wait(1);
  s.done("x");  // y takes 49 s more
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(s.on(0).starts_with("z")) << s.on(0);
    s.wait(20);
    s.done(s.on(0), 20);
  }
  EXPECT_EQ(s.on(0), "") << "9 s are left";
  s.wait(9);
  s.done("y", 50);
  EXPECT_EQ(s.starts("time"), 1);
  EXPECT_EQ(s.coordinator().slots().busy(), 1u);
}

TEST(placement, the_other_node_goes_on_while_one_is_timing) {
  Scenario s;
  s.stage("time").exclusive = true;
  s.stage("x");
  s.start();
  s.join(0, "a");
  s.join(1, "a");
  s.join(2, "b");
  EXPECT_EQ(s.on(0), "time");
  EXPECT_EQ(s.on(1), "");
  EXPECT_EQ(s.on(2), "x");
}

TEST(placement, a_large_stage_is_not_starved_by_small_ones) {
  Scenario s;
  s.options().reserve_after_s = 60;
  s.options().ahead_horizon_s = -1;
  s.stage("s0").resources.memory_bytes = kGib;
  s.stage("s1").resources.memory_bytes = kGib;
  s.stage("large").resources.memory_bytes = 8 * kGib;
  for (int i = 2; i < 10; ++i) {
    plan::Stage& small = s.stage("s" + std::to_string(i));
    small.name = "small";
    small.resources.memory_bytes = kGib;
  }
  s.options().stage_wall_s = {{"s0", 500}, {"s1", 400}, {"large", 100}, {"small", 1}};
  s.start();
  s.join(0, "a", {1, 4 * kGib, 0, 0});
  s.join(1, "a", {1, 4 * kGib, 0, 0});
  ASSERT_EQ(s.on(0), "s0");
  s.wait(61);
  s.done("s0", 61);  // passed over for long enough: the node is kept for `large`
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(s.on(0), "s" + std::to_string(i + 2)) << "s1 takes 339 s more";
    s.wait(1);
    s.done(s.on(0));
  }
  s.wait(336);
  s.done(s.on(0));
  EXPECT_EQ(s.on(0), "") << "s1 ends at any moment";
  s.done("s1", 400);
  EXPECT_EQ(s.starts("large"), 1);
}

}  // namespace
}  // namespace assay::schedule
