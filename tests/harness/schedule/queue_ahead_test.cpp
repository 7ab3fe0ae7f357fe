#include <gtest/gtest.h>

#include "tests/harness/schedule/scenario.h"

namespace assay::schedule {
namespace {

using record::StageState;
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

TEST(queue_ahead, what_waits_behind_a_long_stage_moves_to_a_slot_that_runs_dry) {
  Scenario s;
  s.options().stage_wall_s = {{"work", 2}};
  for (const char* label : {"a", "b", "c"}) s.stage(label).name = "work";
  s.start();
  s.join(0);
  s.join(1);
  s.wait(0.5);
  ASSERT_EQ(s.ahead(0), "c");
  s.done("b", 0.5);
  ASSERT_EQ(s.all<RetractStage>().size(), 1u) << "a has more than a second to go";
  s.send(StageReturned{s.all<RetractStage>()[0].attempt});
  EXPECT_EQ(s.on(1), "c");
}

// One long stage among short ones of its name was thought to end at once, for three seconds.
TEST(queue_ahead, what_waits_behind_a_stage_that_is_late_moves_as_soon_as_a_slot_is_free) {
  Scenario s;
  s.options().stage_wall_s = {{"work", 0.3}};
  for (const char* label : {"a", "b", "c"}) s.stage(label).name = "work";
  s.start();
  s.join(0);
  s.join(1);
  s.wait(0.2);
  ASSERT_EQ(s.ahead(0), "c");
  s.wait(0.8);
  s.done("b", 0.3);
  ASSERT_EQ(s.all<RetractStage>().size(), 1u) << "a is 0.7 s late";
  s.send(StageReturned{s.all<RetractStage>()[0].attempt});
  EXPECT_EQ(s.on(1), "c");
}

TEST(queue_ahead, what_waits_behind_a_long_stage_moves_though_an_exclusive_stage_is_ready) {
  Scenario s;
  s.options().stage_wall_s = {{"work", 2}, {"time", 0}};
  for (const char* label : {"a", "b", "c"}) s.stage(label).name = "work";
  s.stage("time", {"b"}).exclusive = true;
  s.start();
  s.join(0);
  s.join(1);
  s.wait(0.5);
  ASSERT_EQ(s.ahead(0), "c");
  s.done("b", 0.5);
  ASSERT_EQ(s.all<RetractStage>().size(), 1u) << "a has more than a second to go";
  EXPECT_EQ(s.starts("time"), 0);
  s.send(StageReturned{s.all<RetractStage>()[0].attempt});
  EXPECT_EQ(s.on(1), "c");
}

// The slot begins what waits before anybody is told that the stage before it ended.
TEST(queue_ahead, what_began_while_a_stop_was_on_its_way_is_stopped_too) {
  Scenario s;
  for (const char* label : {"a", "b"}) s.stage(label).name = "work";
  s.options().stage_wall_s = {{"work", 1}};
  s.start();
  s.join(0);
  s.wait(0.5);
  ASSERT_EQ(s.ahead(0), "b");
  s.send(StopRequested{StopReason::kSignal, false, "signal 15", 7});
  ASSERT_EQ(s.all<StopStage>().size(), 1u);
  s.done("a");
  ASSERT_EQ(s.all<StopStage>().size(), 2u);
  EXPECT_EQ(s.all<StopStage>()[1].attempt, s.attempt("b"));
  EXPECT_EQ(s.all<StopStage>()[1].grace_s, 7);
}

}  // namespace
}  // namespace assay::schedule
