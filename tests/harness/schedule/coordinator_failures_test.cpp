#include <gtest/gtest.h>

#include "tests/harness/schedule/scenario.h"

namespace assay::schedule {
namespace {

using record::StageState;

class failures : public testing::TestWithParam<ErrorKind> {};

TEST_P(failures, of_the_stages_own_fault_are_not_retried) {
  Scenario s;
  s.stage("make");
  s.start();
  s.join(0);
  s.fail("make", GetParam());
  EXPECT_EQ(s.starts("make"), 1);
  EXPECT_EQ(s.state("make"), StageState::kFailed);
  EXPECT_EQ(s.all<Finish>().back().outcome, Outcome::kSomeFailed);
  EXPECT_EQ(s.all<RecordAttempt>().back().outcome, name_of(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(kinds, failures,
                         testing::Values(ErrorKind::kMethod, ErrorKind::kData, ErrorKind::kConfig,
                                         ErrorKind::kTimeout, ErrorKind::kUnsupported));

TEST(failure, blocks_everything_that_rests_on_it) {
  Scenario s;
  s.stage("make");
  s.stage("use", {"make"});
  s.stage("merge", {"use"});
  s.stage("other");
  s.start();
  s.join(0);
  s.fail("make", ErrorKind::kData);
  EXPECT_EQ(s.state("use"), StageState::kBlocked);
  EXPECT_EQ(s.state("merge"), StageState::kBlocked);
  EXPECT_EQ(s.on(0), "other");
  s.done("other");
  EXPECT_EQ(s.all<Finish>().back().outcome, Outcome::kSomeFailed);
}

TEST(failure, blocks_what_waits_for_it_without_reading_it) {
  Scenario s;
  s.stage("canary");
  s.stage("network");
  s.plan().stages[1].canary = s.plan().stages[0].key;
  s.start();
  s.join(0);
  s.join(1);
  EXPECT_EQ(s.on(0), "canary");
  EXPECT_EQ(s.on(1), "") << "it waits, though it reads nothing of it";
  s.fail("canary", ErrorKind::kMethod);
  EXPECT_EQ(s.state("network"), StageState::kBlocked);
  EXPECT_EQ(s.starts("network"), 0);
}

TEST(failure, of_an_earlier_run_is_not_tried_again_and_blocks) {
  Scenario s;
  s.stage("make");
  s.stage("use", {"make"});
  s.known("make").failed = true;
  s.known("make").kind = "method";
  s.start();
  EXPECT_TRUE(s.coordinator().finished());
  ASSERT_EQ(s.all<SettleStage>().size(), 1u);
  EXPECT_EQ(s.all<SettleStage>()[0].state, StageState::kBlocked);
  EXPECT_EQ(s.coordinator().counts().failed, 1u);
}

TEST(failure, of_io_is_retried_a_few_times) {
  Scenario s;
  s.stage("make");
  s.start();
  s.join(0);
  for (int i = 0; i < 3; ++i) s.fail("make", ErrorKind::kIo);
  EXPECT_EQ(s.starts("make"), 3);
  EXPECT_EQ(s.state("make"), StageState::kFailed);
}

TEST(crash, is_retried_on_another_slot) {
  Scenario s;
  s.stage("make");
  s.start();
  s.join(0);
  s.join(1);
  ASSERT_EQ(s.on(0), "make");
  s.fail("make", ErrorKind::kCrash);
  EXPECT_EQ(s.on(1), "make");
}

TEST(crash, is_retried_on_the_only_slot) {
  Scenario s;
  s.stage("make");
  s.start();
  s.join(0);
  s.fail("make", ErrorKind::kCrash);
  EXPECT_EQ(s.on(0), "make");
}

TEST(crash, three_times_without_a_checkpoint_is_quarantined) {
  Scenario s;
  s.stage("make");
  s.start();
  s.join(0);
  for (int i = 0; i < 3; ++i) s.fail("make", ErrorKind::kCrash);
  EXPECT_EQ(s.starts("make"), 3);
  EXPECT_EQ(s.state("make"), StageState::kFailed);
  EXPECT_TRUE(s.all<RecordAttempt>().back().quarantined);
  EXPECT_FALSE(s.all<RecordAttempt>().front().quarantined);
}

TEST(crash, after_a_new_checkpoint_starts_the_count_again) {
  Scenario s;
  s.stage("make");
  s.start();
  s.join(0);
  for (int i = 0; i < 10; ++i) {
    s.checkpoint("make", i);
    s.fail("make", ErrorKind::kCrash);
  }
  EXPECT_EQ(s.state("make"), StageState::kPending);
  s.checkpoint("make", 3);  // an old step is no advance
  for (int i = 0; i < 3; ++i) s.fail("make", ErrorKind::kCrash);
  EXPECT_EQ(s.state("make"), StageState::kFailed);
}

TEST(loss, does_not_count_against_the_stage) {
  Scenario s;
  s.stage("make");
  s.start();
  s.join(0);
  for (int i = 0; i < 10; ++i) s.fail("make", ErrorKind::kLost);
  EXPECT_EQ(s.starts("make"), 11);
}

TEST(loss, without_end_is_given_up) {
  Scenario s;
  s.options().lost_limit = 5;
  s.stage("make");
  s.start();
  s.join(0);
  for (int i = 0; i < 6; ++i) s.fail("make", ErrorKind::kLost);
  EXPECT_EQ(s.state("make"), StageState::kFailed);
}

TEST(loss, of_a_slot_moves_its_stage) {
  Scenario s;
  s.stage("make");
  s.start();
  s.join(0);
  s.lose(0);
  EXPECT_EQ(s.all<RecordAttempt>().back().outcome, "lost");
  s.join(1, "b");
  EXPECT_EQ(s.on(1), "make");
}

TEST(out_of_memory, is_retried_with_twice_the_memory) {
  Scenario s;
  s.stage("make").resources.memory_bytes = 2 * kGib;
  s.start();
  for (SlotId id = 0; id < 4; ++id) s.join(id, "a", {1, 2 * kGib, 0, 0});
  s.fail("make", ErrorKind::kOom);
  const Attempt again = s.attempt("make");
  ASSERT_EQ(again.number, 2);
  const auto& slot = s.coordinator().slots().slots().at(again.slot);
  EXPECT_EQ(slot.running->request.resources.memory_bytes, 4 * kGib);
  s.fail("make", ErrorKind::kOom);
  EXPECT_EQ(s.attempt("make").number, 3);
  s.fail("make", ErrorKind::kOom);  // the whole node was not enough
  EXPECT_EQ(s.state("make"), StageState::kFailed);
}

TEST(out_of_memory, on_a_node_of_unknown_memory_is_retried_alone) {
  Scenario s;
  s.stage("make");
  s.start();
  s.join(0);
  s.join(1);
  s.fail("make", ErrorKind::kOom);
  EXPECT_EQ(s.attempt("make").number, 2);
  s.fail("make", ErrorKind::kOom);
  EXPECT_EQ(s.state("make"), StageState::kFailed);
}

Scenario four_trials(std::int64_t max_causes) {
  Scenario s;
  s.options().max_causes = max_causes;
  for (const char* label : {"a", "b", "c", "d"}) {
    s.stage(label);
    s.trial({label});
  }
  s.start();
  s.join(0);
  return s;
}

TEST(max_failures, stops_the_sweep) {
  Scenario s = four_trials(1);
  s.fail("a", ErrorKind::kMethod, 0, "no such layer");
  EXPECT_FALSE(s.coordinator().stopping());
  s.fail("b", ErrorKind::kMethod, 0, "not positive definite");
  ASSERT_TRUE(s.coordinator().finished());
  EXPECT_EQ(s.all<Finish>().back().outcome, Outcome::kTooManyFailures);
  EXPECT_EQ(s.starts("c"), 0);
}

TEST(max_failures, counts_causes_and_not_the_stages_that_one_stops) {
  Scenario s = four_trials(1);
  const std::string key(64, 'a');
  s.fail("a", ErrorKind::kData, 0, "m/config.json: no field 'layers' (store/tmp/" + key + ".1)");
  s.fail("b", ErrorKind::kData, 0, "m/config.json: no field 'layers' (store/tmp/" + key + ".12)");
  s.fail("c", ErrorKind::kData, 0,
         "m/config.json: no field 'layers' (store/tmp/" + std::string(64, 'b') + ".1)");
  EXPECT_FALSE(s.coordinator().stopping());
  s.done("d");
  EXPECT_EQ(s.all<Finish>().back().outcome, Outcome::kSomeFailed);
}

TEST(max_failures, without_a_limit_everything_independent_finishes) {
  Scenario s = four_trials(Options().max_causes);
  s.fail("a", ErrorKind::kMethod, 0, "one");
  s.fail("b", ErrorKind::kMethod, 0, "two");
  s.fail("c", ErrorKind::kMethod, 0, "three");
  s.done("d");
  EXPECT_EQ(s.all<Finish>().back().outcome, Outcome::kSomeFailed);
}

}  // namespace
}  // namespace assay::schedule
