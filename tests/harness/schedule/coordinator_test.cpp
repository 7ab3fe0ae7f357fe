#include "harness/schedule/coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/harness/schedule/scenario.h"

namespace assay::schedule {
namespace {

using record::StageState;

TEST(coordinator, an_empty_plan_is_finished_at_once) {
  Scenario s;
  s.start();
  ASSERT_EQ(s.all<Finish>().size(), 1u);
  EXPECT_EQ(s.all<Finish>()[0].outcome, Outcome::kAllDone);
}

TEST(coordinator, a_stage_starts_after_its_inputs) {
  Scenario s;
  s.stage("make");
  s.stage("use", {"make"});
  s.start();
  s.join(0);
  EXPECT_EQ(s.on(0), "make");
  EXPECT_EQ(s.starts("use"), 0);
  s.done("make");
  EXPECT_EQ(s.on(0), "use");
  s.done("use");
  ASSERT_TRUE(s.coordinator().finished());
  EXPECT_EQ(s.all<Finish>().back().outcome, Outcome::kAllDone);
  EXPECT_EQ(s.coordinator().counts().done, 2u);
}

TEST(coordinator, what_lies_in_the_store_does_not_run) {
  Scenario s;
  s.stage("make");
  s.stage("use", {"make"});
  s.known("make").in_store = true;
  s.start();
  s.join(0);
  EXPECT_EQ(s.on(0), "use");
  EXPECT_EQ(s.coordinator().counts().reused, 1u);
  EXPECT_EQ(s.coordinator().counts().total, 2u);
}

TEST(coordinator, a_dropped_temporary_artifact_is_made_again_only_for_a_missing_consumer) {
  Scenario s;
  s.stage("images").retention = Retention::kTemporary;
  s.stage("first", {"images"});
  s.stage("second", {"images"});
  s.known("first").in_store = s.known("second").in_store = true;
  s.start();
  EXPECT_TRUE(s.coordinator().finished());

  Scenario t;
  t.stage("images").retention = Retention::kTemporary;
  t.stage("first", {"images"});
  t.stage("second", {"images"});
  t.known("first").in_store = true;
  t.start();
  t.join(0);
  EXPECT_EQ(t.on(0), "images");
}

TEST(coordinator, a_temporary_artifact_is_dropped_when_its_last_consumer_has_published) {
  Scenario s;
  s.stage("images").retention = Retention::kTemporary;
  s.stage("first", {"images"});
  s.stage("second", {"images"});
  s.start();
  s.join(0);
  s.done("images");
  s.done("first");
  EXPECT_TRUE(s.all<DropArtifact>().empty());
  s.done("second");
  ASSERT_EQ(s.all<DropArtifact>().size(), 1u);
  EXPECT_EQ(s.all<DropArtifact>()[0].stage, s.index("images"));
}

TEST(coordinator, a_temporary_artifact_is_kept_for_a_consumer_that_failed) {
  Scenario s;
  s.stage("images").retention = Retention::kTemporary;
  s.stage("first", {"images"});
  s.stage("second", {"images"});
  s.start();
  s.join(0);
  s.done("images");
  s.fail("first", ErrorKind::kMethod);
  s.done("second");
  EXPECT_TRUE(s.all<DropArtifact>().empty());
}

TEST(coordinator, attempt_numbers_go_on_from_earlier_runs) {
  Scenario s;
  s.stage("make");
  s.known("make").attempts = 4;
  s.start();
  s.join(0);
  EXPECT_EQ(s.attempt("make").number, 5);
}

TEST(coordinator, a_message_about_an_old_attempt_is_ignored) {
  Scenario s;
  s.stage("make");
  s.start();
  s.join(0);
  const Attempt old = s.attempt("make");
  s.fail("make", ErrorKind::kLost);
  ASSERT_EQ(s.attempt("make").number, 2);
  s.send(StageDone{old, 1, 0});
  EXPECT_EQ(s.state("make"), StageState::kPending);
  s.done("make");
  EXPECT_EQ(s.coordinator().counts().done, 1u);
}

TEST(coordinator, a_stop_asks_for_checkpoints_and_then_kills) {
  Scenario s;
  s.stage("long");
  s.stage("other");
  s.start();
  s.join(0);
  s.send(StopRequested{StopReason::kSignal, false, "signal 2"});
  ASSERT_EQ(s.all<StopStage>().size(), 1u);
  EXPECT_FALSE(s.coordinator().finished());
  s.send(StopRequested{StopReason::kSignal, true, "signal 2"});
  ASSERT_EQ(s.all<KillStage>().size(), 1u);
  s.fail("long", ErrorKind::kLost);
  ASSERT_TRUE(s.coordinator().finished());
  EXPECT_EQ(s.all<Finish>()[0].outcome, Outcome::kStopped);
  EXPECT_EQ(s.state("long"), StageState::kPending);
  EXPECT_EQ(s.starts("other"), 0);
}

TEST(coordinator, a_stage_that_ends_while_stopping_counts_as_done) {
  Scenario s;
  s.stage("long");
  s.start();
  s.join(0);
  s.send(StopRequested{});
  s.done("long");
  EXPECT_EQ(s.all<Finish>().back().outcome, Outcome::kAllDone);
}

TEST(coordinator, a_stage_killed_after_its_grace_is_lost_and_not_a_timeout) {
  Scenario s;
  s.stage("long");
  s.start();
  s.join(0);
  s.send(StopRequested{});
  s.fail("long", ErrorKind::kTimeout);
  EXPECT_EQ(s.state("long"), StageState::kPending);
  EXPECT_EQ(s.all<RecordAttempt>().back().outcome, "lost");
}

TEST(coordinator, without_a_slot_it_gives_up_after_its_patience) {
  Scenario s;
  s.options().patience_s = 30;
  s.stage("make");
  s.start();
  s.wait(29);
  EXPECT_FALSE(s.coordinator().finished());
  s.wait(2);
  ASSERT_TRUE(s.coordinator().finished());
  EXPECT_EQ(s.all<Finish>()[0].outcome, Outcome::kEnvironment);
}

TEST(coordinator, the_time_limit_stops_what_runs) {
  Scenario s;
  s.options().time_limit_at_s = 100;
  s.options().stop_grace_s = 10;
  s.stage("long");
  s.start();
  s.join(0);
  s.wait(89);
  EXPECT_TRUE(s.all<StopStage>().empty());
  s.wait(1);
  EXPECT_EQ(s.all<StopStage>().size(), 1u);
}

TEST(coordinator, a_stage_that_cannot_end_before_the_time_limit_is_not_started) {
  Scenario s;
  s.options().time_limit_at_s = 100;
  s.options().stop_grace_s = 10;
  s.options().stage_wall_s = {{"long", 500}, {"short", 5}};
  s.stage("long");
  s.stage("short");
  s.start();
  s.join(0);
  EXPECT_EQ(s.starts("long"), 0);
}

TEST(coordinator, two_stages_of_one_key_are_refused) {
  Scenario s;
  s.stage("make");
  s.stage("make");
  EXPECT_THROW(s.start(), Error);
}

TEST(coordinator, an_input_that_no_earlier_stage_makes_is_refused) {
  Scenario s;
  s.stage("use", {"make"});
  s.stage("make");
  EXPECT_THROW(s.start(), Error);
}

}  // namespace
}  // namespace assay::schedule
