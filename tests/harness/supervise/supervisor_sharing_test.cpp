#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/contract/artifact_files.h"
#include "tests/harness/supervise/supervisor_fixture.h"

// Stages of a supervisor whose store other runs use, and clean up, at the same time.

namespace assay::supervise {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SharingTest : public SupervisorTest {
 protected:
  // What this process does as another run counts as long as another one seems to be there.
  SharingTest() { fs::create_directories(store.root() / "tmp" / "elsewhere.1.2.3"); }
};

TEST_F(SharingTest, a_result_that_another_run_has_made_is_not_made_again) {
  const Assignment one = stage("value");
  publish_as_another_run(one.stage.key);
  const Report end = run(one);
  EXPECT_EQ(end.kind, ReportKind::kFound);
  EXPECT_EQ(end.artifact.result["metrics"]["v"], 1);
}

TEST_F(SharingTest, an_input_that_has_gone_is_named_and_is_no_failure_of_the_stage) {
  Assignment one = stage("measure");
  const std::string input = sha256("input");
  one.stage.inputs = {{"network", input}};
  one.inputs["network"] = (store.root() / "objects" / (input + ".json")).string();
  const Report end = run(one);
  EXPECT_EQ(end.kind, ReportKind::kFailed);
  EXPECT_EQ(end.error, ErrorKind::kLost);
  EXPECT_THAT(end.lost_inputs, ElementsAre(input));
}

TEST_F(SharingTest, a_failure_over_a_damaged_input_is_no_failure_of_the_stage) {
  Assignment one = stage("fail", {{"kind", "data"}, {"message", "cut short"}});
  const std::string input = sha256("input");
  const fs::path path = store.root() / "objects" / (input + ".json");
  Json sound = {{"key", input}};
  sound["digest"] = result_digest(sound);
  write_file_atomically(path, sound.dump());
  one.stage.inputs = {{"network", input}};
  one.inputs["network"] = path.string();
  EXPECT_EQ(run(one).error, ErrorKind::kData) << "a sound input changes nothing";
  write_file_atomically(path, "{");
  one.number = 2;
  const Report end = run(one);
  EXPECT_EQ(end.error, ErrorKind::kLost);
  EXPECT_THAT(end.lost_inputs, ElementsAre(input));
  EXPECT_THAT(end.message, HasSubstr("gone from the store, or damaged"));
}

TEST_F(SharingTest, a_stage_that_another_run_computes_is_left_to_it) {
  const Assignment one = stage("value");
  ASSERT_TRUE(other.claim(one.stage.key, "run-2"));
  const Report end = run(one);
  EXPECT_EQ(end.kind, ReportKind::kTaken);
  EXPECT_THAT(end.message, HasSubstr("run-2"));
  other.release(one.stage.key, "run-2");
  EXPECT_EQ(run(one).kind, ReportKind::kPublished);
}

TEST_F(SharingTest, of_two_runs_that_begin_a_long_stage_at_once_one_goes_on) {
  options.claim_after_s = 0.3;
  const Assignment one = stage("sleep", {{"seconds", 60}});
  supervisor().start(0, one);
  wait_for_start(one);
  ASSERT_TRUE(other.claim(one.stage.key, "run-2"));
  const double start = monotonic_seconds();
  EXPECT_EQ(wait_for(ReportKind::kTaken).attempt, one.attempt());
  EXPECT_LT(monotonic_seconds() - start, 5);
  EXPECT_EQ(run(stage("value")).kind, ReportKind::kPublished) << "the executor lives on";
}

TEST_F(SharingTest, a_stage_that_runs_for_a_while_is_kept_from_other_runs) {
  options.claim_after_s = 0.1;
  const Assignment one = stage("sleep", {{"seconds", 60}});
  supervisor().start(0, one);
  const double until = monotonic_seconds() + 10;
  while (other.claimed_by_other(one.stage.key, "run-2").empty() && monotonic_seconds() < until)
    supervisor().poll(0.05);
  EXPECT_FALSE(other.claim(one.stage.key, "run-2"));
  supervisor().kill(one.attempt());
  finish();
  EXPECT_TRUE(other.claim(one.stage.key, "run-2")) << "what has ended is free";
}

TEST_F(SharingTest, publication_by_another_run_leaves_live_checkpoints_alone) {
  const Assignment one = stage("long", {{"steps", 15}, {"step_s", 0.05}});
  supervisor().start(0, one);
  wait_for(ReportKind::kCheckpoint);
  publish_as_another_run(one.stage.key);
  EXPECT_TRUE(fs::exists(store.root() / "partial" / one.stage.key.str()));
  std::vector<Report> last = finish();
  ASSERT_FALSE(last.empty());
  EXPECT_EQ(last.back().kind, ReportKind::kPublished) << last.back().message;
  EXPECT_FALSE(last.back().first);
  EXPECT_FALSE(fs::exists(store.root() / "partial" / one.stage.key.str()));
}

TEST_F(SharingTest, a_failed_attempt_looks_into_the_store_first) {
  const Assignment one = stage("long", {{"steps", 1000}, {"step_s", 0.02}});
  supervisor().start(0, one);
  wait_for(ReportKind::kCheckpoint);
  publish_as_another_run(one.stage.key);
  supervisor().kill(one.attempt(), ErrorKind::kIo, "disk");
  EXPECT_EQ(wait_for(ReportKind::kFound).key, one.stage.key);
}

}  // namespace
}  // namespace assay::supervise
