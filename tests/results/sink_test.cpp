#include "results/store/sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "harness/base/error.h"
#include "results/store/reader.h"
#include "tests/results/sample_run.h"

namespace assay::results {
namespace {

class SinkTest : public ::testing::Test {
 protected:
  TemporaryFolder folder;
  std::filesystem::path file = folder / "results.sqlite";
  SamplePlan sample = SamplePlan().trial("rtn", "W8A8").trial("psaq_vit", "W4A8", 0);
};

TEST_F(SinkTest, what_a_run_commits_is_read_back) {
  DatabaseSink sink(file);
  run_all(sink, sample.plan());
  Reader reader(file);
  const auto rows = reader.results();
  ASSERT_EQ(rows.size(), 4u);  // two trials, two values each
  for (const ResultRow& row : rows) {
    ASSERT_TRUE(row.value.has_value());
    EXPECT_EQ(row.state, "done");
    EXPECT_EQ(row.fingerprint.size(), 64u);
    EXPECT_EQ(row.is_primary, row.name == "top1");
  }
  EXPECT_EQ(reader.trials().at(0).state, "done");
  EXPECT_EQ(reader.query("SELECT exit_code FROM sweep").rows.at(0).at(0), Json(0));
  EXPECT_EQ(reader.query("SELECT count(*) FROM sample_set").rows.at(0).at(0),
            Json(sample.plan().stages.size()));
}

TEST_F(SinkTest, a_plan_that_is_registered_again_changes_nothing) {
  DatabaseSink sink(file);
  run_all(sink, sample.plan());
  const auto before = Reader(file).query("SELECT * FROM leaderboard ORDER BY trial, name").rows;
  sink.begin(sample.plan(), {.unix_s = 3000});
  EXPECT_EQ(Reader(file).query("SELECT * FROM leaderboard ORDER BY trial, name").rows, before);
  EXPECT_EQ(Reader(file).query("SELECT count(*) FROM sweep").rows.at(0).at(0), Json(2));
}

TEST_F(SinkTest, a_database_opened_again_knows_its_history) {
  {
    DatabaseSink sink(file);
    run_all(sink, sample.plan());
    record::RecordGroup crash;
    crash.attempts.push_back({.key = sample.plan().stages[1].key,
                              .number = 2,
                              .outcome = "crash",
                              .message = "signal 11",
                              .quarantined = true});
    crash.stages.push_back({.key = sample.plan().stages[1].key,
                            .state = record::StageState::kFailed,
                            .kind = "crash",
                            .message = "signal 11"});
    sink.commit(crash);
  }
  const record::History history = DatabaseSink(file).history();
  const record::StageHistory& failed = history.stages.at(sample.plan().stages[1].key);
  EXPECT_EQ(failed.state, record::StageState::kFailed);
  EXPECT_EQ(failed.attempts, 2);
  EXPECT_EQ(failed.kind, "crash");
  EXPECT_TRUE(failed.quarantined);
  EXPECT_EQ(history.stages.at(sample.plan().stages[0].key).state, record::StageState::kDone);
  EXPECT_DOUBLE_EQ(history.stage_wall_s.at("evaluate"), 2.0);
}

TEST_F(SinkTest, a_group_is_all_or_nothing) {
  DatabaseSink sink(file);
  sink.begin(sample.plan(), {});
  record::RecordGroup group = done(sample.plan().stages[0], Json::object());
  group.stages.push_back({.key = std::string(64, 'f'), .state = record::StageState::kDone});
  EXPECT_THROW(sink.commit(group), Error);
  EXPECT_EQ(Reader(file).query("SELECT count(*) FROM attempt").rows.at(0).at(0), Json(0));
  EXPECT_EQ(Reader(file).query("SELECT count(*) FROM stage WHERE state = 'done'").rows.at(0).at(0),
            Json(0));
}

TEST_F(SinkTest, an_attempt_that_is_there_already_is_left_alone) {
  DatabaseSink sink(file);
  sink.begin(sample.plan(), {});
  sink.commit(done(sample.plan().stages[0], Json::object(), 2));
  sink.commit(done(sample.plan().stages[0], Json::object(), 99));
  EXPECT_EQ(Reader(file).query("SELECT ended_unix_s - started_unix_s FROM attempt").rows,
            (std::vector<std::vector<Json>>{{2.0}}));
}

TEST_F(SinkTest, a_stage_that_fails_after_all_takes_its_figures_along) {
  DatabaseSink sink(file);
  run_all(sink, sample.plan());
  record::RecordGroup group;
  group.stages.push_back({.key = sample.plan().stages[2].key,
                          .state = record::StageState::kFailed,
                          .kind = "method",
                          .message = "diverged"});
  sink.commit(group);
  EXPECT_EQ(Reader(file).query("SELECT count(*) FROM leaderboard WHERE value IS NULL").rows[0][0],
            Json(2));
}

TEST_F(SinkTest, a_figure_that_is_not_finite_or_missing_is_no_figure) {
  DatabaseSink sink(file);
  sink.begin(sample.plan(), {});
  sink.commit(done(sample.plan().stages[2], {{"top1", std::nan("")}}));
  EXPECT_EQ(Reader(file)
                .query("SELECT count(value), count(*) FROM metric WHERE stage = '" +
                       sample.plan().stages[2].key + "'")
                .rows[0],
            (std::vector<Json>{0, 2}));
}

TEST_F(SinkTest, trials_that_left_the_sweep_stay_as_history_only) {
  DatabaseSink sink(file);
  run_all(sink, sample.plan());
  const SamplePlan smaller = SamplePlan().trial("rtn", "W8A8");
  sink.begin(smaller.plan(), {});
  EXPECT_EQ(Reader(file).trials().size(), 1u);
  EXPECT_EQ(Reader(file).results().size(), 2u);
  EXPECT_EQ(Reader(file).query("SELECT count(*) FROM trial").rows[0][0], Json(2));
}

TEST_F(SinkTest, a_run_of_some_trials_only_leaves_the_others_current) {
  DatabaseSink sink(file);
  run_all(sink, sample.plan());
  const SamplePlan smaller = SamplePlan().trial("rtn", "W8A8");
  sink.begin(smaller.plan(), {.options = {{"only", "bits == 'W8A8'"}}});
  EXPECT_EQ(Reader(file).trials().size(), 2u);
}

TEST_F(SinkTest, a_trial_whose_stages_have_new_keys_shows_only_those) {
  DatabaseSink sink(file);
  run_all(sink, SamplePlan().trial("rtn", "W8A8", -1, "old data").plan());
  sink.begin(SamplePlan().trial("rtn", "W8A8", -1, "new data").plan(), {});
  for (const ResultRow& row : Reader(file).results()) {
    EXPECT_FALSE(row.value.has_value());
    EXPECT_EQ(row.state, "pending");
  }
  EXPECT_EQ(Reader(file).query("SELECT count(*) FROM metric WHERE value IS NOT NULL").rows[0][0],
            Json(2));
}

TEST_F(SinkTest, an_earlier_result_serves_a_trial_that_is_new) {
  DatabaseSink sink(file);
  run_all(sink, sample.plan());
  plan::Plan more = sample.plan();
  Json identity = more.trials[1].identity();
  identity["seed"] = 99;
  more.trials[1].identity_text = canonical_json(identity);
  more.trials[1].id = sha256(more.trials[1].identity_text).substr(0, 16);
  sink.begin(more, {});
  int measured = 0;
  for (const ResultRow& row : Reader(file).results()) measured += row.value.has_value();
  EXPECT_EQ(measured, 4);
}

// Two data sets may hold the same files.
TEST_F(SinkTest, one_stage_gives_the_figures_of_two_data_sets) {
  plan::Plan plan = SamplePlan().trial("rtn", "W8A8").plan();
  plan.trials[0].metrics.push_back(plan.trials[0].metrics[0]);
  plan.trials[0].metrics.back().data = "another";
  {
    DatabaseSink sink(file);
    run_all(sink, plan);
  }
  const auto rows = Reader(file).results();
  ASSERT_EQ(rows.size(), 4U);
  std::set<std::string> data;
  for (const ResultRow& row : rows) {
    data.insert(row.data);
    EXPECT_TRUE(row.value) << row.data;
  }
  EXPECT_EQ(data, (std::set<std::string>{"another", "fashion"}));
}

TEST_F(SinkTest, a_database_rebuilt_from_the_store_gives_the_same_figures) {
  {
    DatabaseSink sink(file);
    run_all(sink, sample.plan());
  }
  const auto rebuilt = folder / "rebuilt.sqlite";
  DatabaseSink sink(rebuilt);
  sink.begin(sample.plan(), {});
  for (const plan::Stage& stage : sample.plan().stages) {
    record::RecordGroup group = done(stage, metrics_of(stage));
    group.attempts.clear();
    group.stages[0].reused = true;
    sink.commit(group);
  }
  const char* sql = "SELECT * FROM leaderboard ORDER BY trial, metric, name";
  EXPECT_EQ(Reader(rebuilt).query(sql).rows, Reader(file).query(sql).rows);
}

}  // namespace
}  // namespace assay::results
