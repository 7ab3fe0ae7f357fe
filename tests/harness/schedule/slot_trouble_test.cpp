#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/harness/schedule/scenario.h"

namespace assay::schedule {
namespace {

using record::StageState;
using testing::HasSubstr;
using testing::SizeIs;

// As many stages as wanted: s0, s1, ...
Scenario stages(int count) {
  Scenario s;
  for (int i = 0; i < count; ++i) {
    plan::Stage& stage = s.stage("s" + std::to_string(i));
    stage.provider = "echo";
    stage.name = "echo.value";
  }
  s.start();
  return s;
}

TEST(broken_slot, does_not_fail_the_stages_that_it_cannot_start) {
  Scenario s = stages(60);
  s.join(0, "good");
  s.join(1, "bad");
  int done = 0;
  for (int round = 0; round < 200 && !s.coordinator().finished(); ++round) {
    while (!s.on(1).empty()) s.cannot_start(s.on(1));
    if (!s.on(0).empty()) {
      s.done(s.on(0));
      ++done;
    }
    s.wait(1);
  }
  EXPECT_EQ(done, 60);
  EXPECT_EQ(s.all<Finish>().back().outcome, Outcome::kAllDone);
  EXPECT_EQ(s.coordinator().counts().failed, 0u);
  ASSERT_THAT(s.all<RetireSlot>(), SizeIs(1));
  EXPECT_EQ(s.all<RetireSlot>()[0].slot, 1);
}

TEST(broken_slot, is_tried_again_after_a_while) {
  Scenario s = stages(1);
  s.join(0);
  s.cannot_start("s0");
  EXPECT_EQ(s.on(0), "") << "not at once";
  s.wait(0.5);
  EXPECT_EQ(s.on(0), "");
  s.wait(0.6);
  EXPECT_EQ(s.on(0), "s0");
  s.done("s0");
  EXPECT_EQ(s.all<Finish>().back().outcome, Outcome::kAllDone);
  EXPECT_EQ(s.all<RecordAttempt>().front().outcome, "environment");
}

TEST(broken_slot, with_no_other_left_ends_the_run_and_leaves_its_stages_to_the_next) {
  Scenario s = stages(3);
  s.join(0);
  for (int i = 0; i < 60 && !s.coordinator().finished(); ++i) {
    if (!s.on(0).empty()) s.cannot_start(s.on(0));
    s.wait(1);
  }
  ASSERT_TRUE(s.coordinator().finished());
  EXPECT_EQ(s.all<Finish>().back().outcome, Outcome::kEnvironment);
  EXPECT_THAT(s.all<Finish>().back().message, HasSubstr("no usable slot: no such program"));
  EXPECT_EQ(s.state("s0"), StageState::kPending);
  EXPECT_EQ(s.all<RecordAttempt>().size(), 5u);
}

TEST(broken_slot, takes_back_what_was_queued_there_as_one_fault) {
  Scenario s = stages(8);
  s.join(0);
  s.done("s0", 0.001);  // short: others are queued behind the next
  ASSERT_NE(s.ahead(0), "");
  for (int i = 0; i < 3 && !s.on(0).empty(); ++i) s.cannot_start(s.on(0));
  EXPECT_THAT(s.all<RetireSlot>(), SizeIs(0)) << "one moment, one strike";
  EXPECT_FALSE(s.all<RetractStage>().empty());
}

TEST(broken_slot, still_serves_other_providers) {
  Scenario s;
  s.stage("broken").provider = "mine";
  s.stage("sound").provider = "assay";
  s.stage("after", {"sound"}).provider = "assay";
  s.start();
  s.join(0);
  for (int i = 0; i < 60 && !s.coordinator().finished(); ++i) {
    if (s.on(0) == "broken") {
      s.cannot_start("broken");
    } else if (!s.on(0).empty()) {
      s.done(s.on(0));
    }
    s.wait(1);
  }
  EXPECT_EQ(s.state("after"), StageState::kDone);
  EXPECT_EQ(s.all<Finish>().back().outcome, Outcome::kEnvironment);
}

}  // namespace
}  // namespace assay::schedule
