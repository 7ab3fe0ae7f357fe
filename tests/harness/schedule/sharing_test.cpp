#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/harness/schedule/scenario.h"

namespace assay::schedule {
namespace {

using record::StageState;
using testing::SizeIs;

TEST(sharing, a_stage_that_another_run_computes_frees_its_slot) {
  Scenario s;
  s.stage("shared");
  s.stage("own");
  s.start();
  s.join(0);
  s.taken("shared");
  EXPECT_EQ(s.on(0), "own");
  s.done("own");
  s.wait(100);
  EXPECT_FALSE(s.coordinator().finished()) << "its result is still to come";
  s.found_elsewhere("shared");
  EXPECT_EQ(s.all<Finish>().back().outcome, Outcome::kAllDone);
  EXPECT_EQ(s.coordinator().counts().reused, 1u);
  EXPECT_EQ(s.coordinator().counts().done, 1u);
}

TEST(sharing, a_stage_that_the_other_run_gave_up_runs_here) {
  Scenario s;
  s.stage("shared");
  s.start();
  s.join(0);
  s.taken("shared");
  s.wait(1);
  EXPECT_EQ(s.on(0), "");
  s.freed("shared");
  EXPECT_EQ(s.on(0), "shared");
  s.done("shared");
  EXPECT_EQ(s.all<Finish>().back().outcome, Outcome::kAllDone);
}

TEST(sharing, a_result_found_at_the_start_of_a_stage_is_its_end) {
  Scenario s;
  s.stage("make");
  s.stage("use", {"make"});
  s.start();
  s.join(0);
  s.found("make");
  ASSERT_THAT(s.all<SettleStage>(), SizeIs(1));
  EXPECT_TRUE(s.all<SettleStage>()[0].reused);
  EXPECT_THAT(s.all<RecordAttempt>(), SizeIs(0));
  EXPECT_EQ(s.on(0), "use");
}

TEST(lost_input, is_made_again_for_all_its_consumers) {
  Scenario s;
  s.stage("make");
  for (const char* use : {"u0", "u1", "u2"}) s.stage(use, {"make"});
  s.start();
  s.join(0);
  s.done("make");
  s.inputs_lost("u0", {"make"});
  EXPECT_EQ(s.on(0), "make");
  EXPECT_THAT(s.all<ReviveStage>(), SizeIs(1));
  EXPECT_EQ(s.coordinator().ready(), 0u) << "its consumers wait";
  s.done("make");
  for (const char* use : {"u0", "u1", "u2"}) s.done(use);
  EXPECT_EQ(s.all<Finish>().back().outcome, Outcome::kAllDone);
  EXPECT_EQ(s.coordinator().counts().done, 4u);
  EXPECT_EQ(s.starts("u1"), 1);
}

TEST(lost_input, that_was_found_in_the_store_is_made_again) {
  Scenario s;
  s.stage("make");
  s.stage("use", {"make"});
  s.known("make").in_store = true;
  s.start();
  s.join(0);
  s.inputs_lost("use", {"make"});
  EXPECT_EQ(s.coordinator().counts().reused, 0u);
  s.done("make");
  s.done("use");
  EXPECT_EQ(s.all<Finish>().back().outcome, Outcome::kAllDone);
  EXPECT_EQ(s.coordinator().counts().done, 2u);
}

TEST(lost_input, brings_back_a_temporary_one_that_was_dropped) {
  Scenario s;
  s.stage("images").retention = Retention::kTemporary;
  s.stage("network", {"images"});
  s.stage("measure", {"network"});
  s.start();
  s.join(0);
  s.done("images");
  s.done("network");
  ASSERT_THAT(s.all<DropArtifact>(), SizeIs(1));
  s.inputs_lost("measure", {"network"});
  EXPECT_EQ(s.on(0), "images");
  s.done("images");
  s.done("network");
  EXPECT_THAT(s.all<DropArtifact>(), SizeIs(2));
  s.done("measure");
  EXPECT_EQ(s.all<Finish>().back().outcome, Outcome::kAllDone);
}

TEST(lost_input, lets_a_consumer_go_on_that_has_read_it) {
  Scenario s;
  s.stage("make");
  s.stage("u0", {"make"});
  s.stage("u1", {"make"});
  s.start();
  s.join(0);
  s.join(1);
  s.done("make");
  s.inputs_lost("u0", {"make"});
  EXPECT_EQ(s.on(1), "u1");
  s.done("u1");
  s.done("make");
  s.done("u0");
  EXPECT_EQ(s.all<Finish>().back().outcome, Outcome::kAllDone);
}

TEST(lost_input, that_cannot_be_made_again_blocks_its_consumers) {
  Scenario s;
  s.stage("make");
  s.stage("u0", {"make"});
  s.stage("u1", {"make"});
  s.start();
  s.join(0);
  s.join(1);
  s.done("make");
  s.inputs_lost("u0", {"make"});
  s.fail("make", ErrorKind::kMethod);
  EXPECT_EQ(s.state("u0"), StageState::kBlocked);
  s.fail("u1", ErrorKind::kCrash);
  EXPECT_EQ(s.state("u1"), StageState::kBlocked);
  EXPECT_EQ(s.all<Finish>().back().outcome, Outcome::kSomeFailed);
}

TEST(lost_input, over_and_over_is_given_up) {
  Scenario s;
  s.options().lost_limit = 3;
  s.stage("make");
  s.stage("use", {"make"});
  s.start();
  s.join(0);
  for (int i = 0; i < 4; ++i) {
    s.done("make");
    s.inputs_lost("use", {"make"});
  }
  EXPECT_EQ(s.state("use"), StageState::kFailed);
}

}  // namespace
}  // namespace assay::schedule
