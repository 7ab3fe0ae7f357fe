#include <gtest/gtest.h>

#include "tests/harness/schedule/scenario.h"

namespace assay::schedule {
namespace {

using plan::StageState;
constexpr std::int64_t kGib = std::int64_t{1} << 30;

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

TEST(placement, an_exclusive_stage_drains_its_node_and_runs_alone) {
  Scenario s;
  s.options().stage_wall_s = {{"time", 100}, {"x", 1}, {"y", 1}, {"z", 1}};
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
  s.done("x");  // `time` is next, but y still runs: nothing else may start meanwhile
  EXPECT_EQ(s.on(0), "");
  s.done("y");
  EXPECT_EQ(s.coordinator().slots().busy(), 1u);
  EXPECT_EQ(s.starts("time"), 1);
  s.done("time", 100);
  EXPECT_EQ(s.coordinator().slots().busy(), 2u);
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
  s.done("s0", 500);  // passed over for long enough: the node is kept for `large`
  EXPECT_EQ(s.on(0), "");
  s.done("s1", 400);
  EXPECT_EQ(s.starts("large"), 1);
}

TEST(queue_ahead, short_stages_get_one_more_behind_them) {
  Scenario s;
  for (const char* label : {"a", "b", "c", "d"}) s.stage(label).name = "work";
  s.options().stage_wall_s = {{"work", 0.1}};
  s.start();
  s.join(0);
  ASSERT_EQ(s.on(0), "a");
  s.wait(1);
  EXPECT_EQ(s.ahead(0), "b");
  s.done("a", 0.1);
  EXPECT_EQ(s.on(0), "b");
  EXPECT_EQ(s.ahead(0), "c");
}

TEST(queue_ahead, stages_of_a_millisecond_get_their_share_behind_them) {
  Scenario s;
  for (int i = 0; i < 40; ++i) s.stage("s" + std::to_string(i)).name = "work";
  s.options().stage_wall_s = {{"work", 0.001}};
  s.start();
  s.join(0);
  s.join(1);
  s.wait(1);
  for (const SlotId id : {0, 1}) {
    const auto waiting = s.coordinator().slots().slots().at(id).waiting.size();
    EXPECT_GE(waiting, 8u);
    EXPECT_LE(waiting, 20u);
  }
}

TEST(queue_ahead, a_slot_that_ran_dry_gets_its_share_at_once) {
  Scenario s;
  for (int i = 0; i < 40; ++i) s.stage("s" + std::to_string(i)).name = "work";
  s.start();
  s.join(0);
  ASSERT_EQ(s.ahead(0), "");  // nothing is known of such work yet
  s.done(s.on(0), 0.001);
  EXPECT_GE(s.coordinator().slots().slots().at(0).waiting.size(), 8u);
}

TEST(queue_ahead, the_last_stages_wait_behind_whatever_ends_first) {
  Scenario s;
  s.options().stage_wall_s = {{"work", 0.3}};
  for (int i = 0; i < 4; ++i) s.stage("s" + std::to_string(i)).name = "work";
  s.start();
  s.join(0);
  s.join(1);
  s.wait(0.3);
  s.done("s0", 0.3);
  ASSERT_EQ(s.on(0), "s2");
  EXPECT_EQ(s.ahead(0), "");
  EXPECT_EQ(s.ahead(1), "s3");
}

TEST(queue_ahead, the_last_stages_do_not_wait_behind_one_that_is_late) {
  Scenario s;
  s.options().stage_wall_s = {{"work", 0.3}};
  for (const char* label : {"s0", "s1", "s2"}) s.stage(label).name = "work";
  s.stage("s3", {"s0"}).name = "work";
  s.start();
  s.join(0);
  s.join(1);
  s.wait(0.9);
  s.done("s0", 0.3);
  ASSERT_EQ(s.on(0), "s2");
  EXPECT_EQ(s.ahead(1), "");
  EXPECT_EQ(s.ahead(0), "s3");
}

TEST(queue_ahead, what_waits_on_a_lost_slot_runs_elsewhere) {
  Scenario s;
  for (int i = 0; i < 10; ++i) s.stage("s" + std::to_string(i)).name = "work";
  s.options().stage_wall_s = {{"work", 0.001}};
  s.start();
  s.join(0);
  s.wait(1);
  const auto waiting = s.coordinator().slots().slots().at(0).waiting.size();
  ASSERT_GE(waiting, 2u);
  s.send(SlotLost{0, "gone"});
  EXPECT_EQ(s.coordinator().ready(), 10u);
}

TEST(queue_ahead, long_stages_do_not) {
  Scenario s;
  for (const char* label : {"a", "b"}) s.stage(label).name = "work";
  s.options().stage_wall_s = {{"work", 1000}};
  s.start();
  s.join(0);
  s.wait(1);
  EXPECT_EQ(s.ahead(0), "");
}

TEST(queue_ahead, what_waits_behind_a_late_stage_is_taken_back) {
  Scenario s;
  for (const char* label : {"a", "b"}) s.stage(label).name = "work";
  s.options().stage_wall_s = {{"work", 1}};
  s.start();
  s.join(0);
  s.wait(0.5);
  ASSERT_EQ(s.ahead(0), "b");
  s.join(1);
  EXPECT_EQ(s.on(1), "");
  s.wait(10);
  ASSERT_EQ(s.all<RetractStage>().size(), 1u);
  s.send(StageReturned{s.all<RetractStage>()[0].attempt});
  EXPECT_EQ(s.on(1), "b");
}

}  // namespace
}  // namespace assay::schedule
