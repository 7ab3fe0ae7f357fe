#include "harness/run/conductor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/harness/run/run_fakes.h"

namespace assay::run {
namespace {

using supervise::ReportKind;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class conductor : public ::testing::Test {
 protected:
  void begin(schedule::Options options = {}) {
    inventory_.known.resize(plan_.stages.size());
    inventory_.artifacts.resize(plan_.stages.size());
    conductor_.emplace(plan_, "run", options, inventory_, RunOutlets{store_, sink_, progress_});
    conductor_->start();
    id_ = conductor_->join(handle_, {"host", {"host/0.0"}, {}});
    conductor_->settle();
  }
  void take(const supervise::Report& r) {
    conductor_->take(id_, r);
    conductor_->settle();
  }

  TemporaryFolder folder_;
  supervise::Store store_{folder_.path()};
  plan::Plan plan_ = two_stages();
  Inventory inventory_;
  RecordingSink sink_;
  RecordingSupervisor handle_;
  RecordingProgress progress_;
  std::optional<Conductor> conductor_;
  Conductor::SupervisorId id_ = 0;
};

TEST_F(conductor, hands_the_paths_of_inputs_to_their_consumer) {
  begin();
  ASSERT_THAT(handle_.started, SizeIs(1));
  take(report(ReportKind::kPublished, 'a'));
  ASSERT_THAT(handle_.started, SizeIs(2));
  EXPECT_EQ(handle_.started[1].assignment.inputs.at("made"), "/store/" + key_of('a'));
}

TEST_F(conductor, records_a_stage_before_it_starts_the_next) {
  begin();
  sink_.on_commit = [this] { EXPECT_THAT(handle_.started, SizeIs(1)); };
  take(report(ReportKind::kPublished, 'a'));
  EXPECT_THAT(sink_.groups, SizeIs(1));
  EXPECT_THAT(handle_.started, SizeIs(2));
}

TEST_F(conductor, starts_nothing_more_when_the_database_cannot_be_written) {
  begin();
  sink_.full = true;
  conductor_->take(id_, report(ReportKind::kPublished, 'a'));
  EXPECT_THROW(conductor_->settle(), Error);
  EXPECT_THAT(handle_.started, SizeIs(1));
}

TEST_F(conductor, waits_while_another_process_holds_the_database) {
  begin();
  sink_.held = true;
  take(report(ReportKind::kPublished, 'a'));
  take(failure('x', ErrorKind::kLost));  // of no stage of ours: another round, the same wait
  EXPECT_THAT(handle_.started, SizeIs(1));
  EXPECT_FALSE(conductor_->settled());
  EXPECT_THAT(progress_.lines, ::testing::Contains(HasSubstr("held by another process")).Times(1));
  sink_.held = false;
  conductor_->settle();
  EXPECT_TRUE(conductor_->settled());
  EXPECT_THAT(sink_.stages(), SizeIs(1));
  EXPECT_THAT(handle_.started, SizeIs(2));
}

TEST_F(conductor, stops_what_runs_although_the_database_is_held) {
  plan_.stages[1].inputs.clear();
  inventory_.known.resize(2);
  inventory_.artifacts.resize(2);
  conductor_.emplace(plan_, "run", schedule::Options{}, inventory_,
                     RunOutlets{store_, sink_, progress_});
  conductor_->start();
  id_ = conductor_->join(handle_, {"host", {"host/0.0", "host/0.1"}, {}});
  conductor_->settle();
  sink_.held = true;
  take(report(ReportKind::kPublished, 'a', 1, 0));
  conductor_->stop(schedule::StopReason::kSignal, false, "Terminated", 0.7);
  conductor_->settle();
  EXPECT_THAT(handle_.stopped, ::testing::ElementsAre(key_of('b') + ".1"));
  EXPECT_DOUBLE_EQ(handle_.grace_s, 0.7);
}

TEST_F(conductor, a_stop_does_not_overtake_a_start_that_waits_for_the_database) {
  begin();
  sink_.held = true;
  take(report(ReportKind::kPublished, 'a'));  // 'b' is to start, when the records are durable
  conductor_->stop(schedule::StopReason::kSignal, false, "Terminated");
  conductor_->settle();
  EXPECT_THAT(handle_.stopped, ::testing::IsEmpty());
  sink_.held = false;
  conductor_->settle();
  EXPECT_THAT(handle_.started, SizeIs(2));
  EXPECT_THAT(handle_.stopped, ::testing::ElementsAre(key_of('b') + ".1"));
}

TEST_F(conductor, commits_one_group_a_round) {
  plan_.stages[1].inputs.clear();
  inventory_.known.resize(2);
  inventory_.artifacts.resize(2);
  conductor_.emplace(plan_, "run", schedule::Options{}, inventory_,
                     RunOutlets{store_, sink_, progress_});
  conductor_->start();
  id_ = conductor_->join(handle_, {"host", {"host/0.0", "host/0.1"}, {}});
  conductor_->settle();
  conductor_->take(id_, report(ReportKind::kPublished, 'a', 1, 0));
  conductor_->take(id_, report(ReportKind::kPublished, 'b', 1, 1));
  conductor_->settle();
  ASSERT_THAT(sink_.groups, SizeIs(1));
  EXPECT_THAT(sink_.groups[0].stages, SizeIs(2));
  EXPECT_THAT(sink_.groups[0].attempts, SizeIs(2));
}

TEST_F(conductor, records_result_and_attempt_of_what_was_published) {
  begin();
  take(report(ReportKind::kPublished, 'a'));
  const auto stage = sink_.stages().at(0);
  EXPECT_EQ(stage.state, record::StageState::kDone);
  EXPECT_EQ(stage.result.at("metrics").at("value"), 7);
  EXPECT_DOUBLE_EQ(stage.wall_s, 2);
  const auto attempt = sink_.attempts().at(0);
  EXPECT_EQ(attempt.outcome, "done");
  EXPECT_EQ(attempt.log_path, "logs/" + key_of('a') + ".1.log");
}

TEST_F(conductor, counts_trials_and_finishes) {
  begin();
  take(report(ReportKind::kPublished, 'a'));
  EXPECT_EQ(conductor_->status().trials_done, 0);
  take(report(ReportKind::kPublished, 'b'));
  EXPECT_EQ(conductor_->status().trials_done, 1);
  ASSERT_TRUE(conductor_->finish());
  EXPECT_EQ(conductor_->finish()->outcome, schedule::Outcome::kAllDone);
}

TEST_F(conductor, a_failure_is_shown_with_its_log_and_blocks_the_rest) {
  begin();
  take(failure('a', ErrorKind::kMethod));
  const RunStatus status = conductor_->status();
  ASSERT_THAT(status.failures, SizeIs(1));
  EXPECT_EQ(status.failures[0].log, "logs/" + key_of('a') + ".1.log");
  EXPECT_EQ(status.stages_blocked, 1);
  EXPECT_THAT(progress_.lines.at(0), HasSubstr("method make"));
  EXPECT_EQ(sink_.stages().at(1).state, record::StageState::kBlocked);
}

TEST_F(conductor, a_lost_site_gives_its_stage_to_another) {
  begin();
  RecordingSupervisor other;
  conductor_->leave(id_, "rank 1 is silent");
  conductor_->join(other, {"elsewhere", {"elsewhere/1.0"}, {}});
  conductor_->settle();
  ASSERT_THAT(other.started, SizeIs(1));
  EXPECT_EQ(other.started[0].assignment.number, 2);
  EXPECT_EQ(sink_.attempts().at(0).outcome, "lost");
  EXPECT_EQ(sink_.attempts().at(0).host, "host");
  // What the lost supervisor still says is no longer heard.
  take(report(ReportKind::kPublished, 'a', 1));
  EXPECT_EQ(conductor_->status().stages_done, 0);
}

TEST_F(conductor, a_slot_that_cannot_start_a_provider_does_not_fail_its_stage) {
  begin();
  auto broken = failure('a', ErrorKind::kEnvironment);
  broken.unusable = true;
  take(broken);
  EXPECT_EQ(conductor_->status().stages_failed, 0);
  EXPECT_EQ(sink_.attempts().at(0).outcome, "environment");
  EXPECT_FALSE(conductor_->finish());
}

TEST_F(conductor, a_result_of_another_run_is_recorded_as_reused) {
  begin();
  auto found = report(ReportKind::kFound, 'a');
  found.artifact.path = "/store/found";
  found.artifact.result = {{"metrics", {{"value", 7}}}};
  take(found);
  const auto stage = sink_.stages().at(0);
  EXPECT_TRUE(stage.reused);
  EXPECT_EQ(stage.result.at("metrics").at("value"), 7);
  EXPECT_THAT(sink_.attempts(), SizeIs(0));
  ASSERT_THAT(handle_.started, SizeIs(2));
  EXPECT_EQ(handle_.started[1].assignment.inputs.at("made"), "/store/found");
  EXPECT_EQ(conductor_->status().stages_reused, 1);
}

TEST_F(conductor, waits_for_a_stage_that_another_run_computes) {
  begin();
  supervise::Store other(folder_.path());
  ASSERT_TRUE(other.claim(key_of('a'), "other"));
  auto taken = report(ReportKind::kTaken, 'a');
  taken.message = "run other";
  take(taken);
  conductor_->tick();
  conductor_->settle();
  EXPECT_THAT(handle_.started, SizeIs(1));
  EXPECT_THAT(progress_.lines.back(), HasSubstr("which run other computes"));
  const supervise::Finished made{
      key_of('a'), "", {{"key", key_of('a')}, {"stage", "make"}}, {}, ""};
  other.publish({&made, 1});
  conductor_->tick();
  conductor_->settle();
  ASSERT_THAT(handle_.started, SizeIs(2));
  EXPECT_EQ(conductor_->status().stages_reused, 1);
}

TEST_F(conductor, computes_a_stage_that_the_other_run_gave_up) {
  begin();
  supervise::Store other(folder_.path());
  ASSERT_TRUE(other.claim(key_of('a'), "other"));
  take(report(ReportKind::kTaken, 'a'));
  other.release(key_of('a'), "other");
  conductor_->tick();
  conductor_->settle();
  ASSERT_THAT(handle_.started, SizeIs(2));
  EXPECT_EQ(handle_.started[1].assignment.stage.key, key_of('a'));
}

TEST_F(conductor, an_artifact_that_has_gone_is_made_again) {
  begin();
  take(report(ReportKind::kPublished, 'a'));
  ASSERT_THAT(handle_.started, SizeIs(2));
  auto lost = failure('b', ErrorKind::kLost);
  lost.lost_inputs = {key_of('a')};
  take(lost);
  ASSERT_THAT(handle_.started, SizeIs(3));
  EXPECT_EQ(handle_.started[2].assignment.stage.key, key_of('a'));
  EXPECT_EQ(conductor_->status().stages_done, 0);
  take(report(ReportKind::kPublished, 'a', 2));
  take(report(ReportKind::kPublished, 'b', 2));
  EXPECT_EQ(conductor_->status().trials_done, 1);
  EXPECT_EQ(conductor_->finish()->outcome, schedule::Outcome::kAllDone);
}

TEST_F(conductor, an_input_that_only_a_supervisor_missed_is_read_again) {
  begin();
  const supervise::Finished made{
      key_of('a'), "", {{"key", key_of('a')}, {"stage", "make"}}, {}, ""};
  store_.publish({&made, 1});
  take(report(ReportKind::kPublished, 'a'));
  auto lost = failure('b', ErrorKind::kLost);
  lost.lost_inputs = {key_of('a')};
  take(lost);
  ASSERT_THAT(handle_.started, SizeIs(3));
  EXPECT_EQ(handle_.started[2].assignment.stage.key, key_of('b'));
}

TEST_F(conductor, nondeterminism_becomes_an_event) {
  begin();
  auto differs = report(ReportKind::kPublished, 'a');
  differs.nondeterminism = "metrics.value: 7 and 8";
  take(differs);
  ASSERT_THAT(sink_.groups.at(0).events, SizeIs(1));
  EXPECT_EQ(sink_.groups[0].events[0].kind, "nondeterminism");
}

TEST_F(conductor, a_temporary_artifact_leaves_the_store_with_its_last_consumer) {
  plan_.stages[0].retention = Retention::kTemporary;
  begin();
  const supervise::Finished made{key_of('a'), "", {{"key", key_of('a')}, {"stage", "make"}}, {}};
  store_.publish({&made, 1});
  ASSERT_TRUE(store_.lookup(key_of('a')));
  take(report(ReportKind::kPublished, 'a'));
  EXPECT_TRUE(store_.lookup(key_of('a')));
  take(report(ReportKind::kPublished, 'b'));
  EXPECT_FALSE(store_.lookup(key_of('a')));
}

TEST_F(conductor, a_temporary_artifact_of_another_live_run_stays) {
  plan_.stages[0].retention = Retention::kTemporary;
  begin();
  const supervise::Finished made{key_of('a'), "", {{"key", key_of('a')}, {"stage", "make"}}, {}};
  store_.publish({&made, 1});
  store_.register_root({"other", folder_.path(), {key_of('a')}, 4e9});
  take(report(ReportKind::kPublished, 'a'));
  take(report(ReportKind::kPublished, 'b'));
  EXPECT_TRUE(store_.lookup(key_of('a')));
}

TEST_F(conductor, a_stop_reaches_what_runs) {
  begin();
  conductor_->stop(schedule::StopReason::kSignal, false, "Interrupt");
  conductor_->settle();
  EXPECT_THAT(handle_.stopped, ::testing::ElementsAre(key_of('a') + ".1"));
  take(failure('a', ErrorKind::kLost));
  ASSERT_TRUE(conductor_->finish());
  EXPECT_EQ(conductor_->finish()->outcome, schedule::Outcome::kStopped);
}

TEST(run_status, comes_back_from_json) {
  RunStatus status;
  status.run = "two";
  status.state = "running";
  status.stages_total = 5;
  status.eta_s = 3.5;
  status.slots.push_back({"host/0.0", "make", 100, 3, 10, "steps"});
  status.failures.push_back({"use", key_of('b'), "method", "because", "logs/x.log"});
  const RunStatus back = run_status_from(to_json(status));
  EXPECT_EQ(to_json(back), to_json(status));
}

TEST(run_status, without_a_field_is_an_error) {
  Json json = to_json(RunStatus{});
  json.erase("stages_total");
  EXPECT_THROW(run_status_from(json), Error);
}

TEST(status_block, shows_the_whole_and_busy_slots_within_the_width) {
  RunStatus status;
  status.run = "two";
  status.stages_total = 4;
  status.stages_done = 1;
  status.trials_total = 2;
  status.eta_s = 90;
  status.slots = {{"host/0.0", "make", 100, 3, 10, "steps"}, {"host/0.1", "", 0, 0, 0, ""}};
  const std::string block = status_block(status, 160, 12, 60);
  EXPECT_THAT(block, HasSubstr("1/4 stages"));
  EXPECT_THAT(block, HasSubstr("host/0.0 make 1 min 0 s 3/10 steps"));
  EXPECT_EQ(std::count(block.begin(), block.end(), '\n'), 2);
  for (std::size_t at = 0; at < block.size(); at = block.find('\n', at) + 1) {
    EXPECT_LE(block.find('\n', at) - at, 60u);
  }
}

TEST_F(conductor, keeps_per_sample_values_of_metrics_in_the_run_folder) {
  plan_.trials.emplace_back().stages = {0, 1};
  plan_.trials[0].metrics.push_back({.metric = "m"});
  plan_.trials[0].metrics[0].stage = 1;
  begin();
  const auto run = folder_.path() / "run";
  conductor_->keep_samples_in(run);
  const auto artifact = folder_.path() / "artifact";
  std::filesystem::create_directories(artifact);
  std::ofstream(artifact / "samples.safetensors") << "values";
  take(report(ReportKind::kPublished, 'a'));
  supervise::Report done = report(ReportKind::kPublished, 'b');
  done.artifact.path = artifact;
  take(done);
  EXPECT_FALSE(std::filesystem::exists(run / "samples" / (key_of('a') + ".safetensors")));
  const auto kept = run / "samples" / (key_of('b') + ".safetensors");
  ASSERT_TRUE(std::filesystem::exists(kept));
  EXPECT_EQ(std::filesystem::hard_link_count(kept), 2u);
}

}  // namespace
}  // namespace assay::run
