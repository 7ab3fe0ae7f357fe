#include "results/board/export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/results/sample_run.h"

namespace assay::results {
namespace {

SamplePlan sample_plan() {
  SamplePlan plan;
  for (const char* bits : {"W8A8", "W4A8", "W2A16"}) {
    plan.trial("rtn", bits);
    for (int seed = 0; seed < 3; ++seed) plan.trial("psaq_vit", bits, seed);
  }
  return plan.with_latency();
}

std::string exported(const std::filesystem::path& file, ExportOptions options = {}) {
  Reader reader(file);
  return export_rows(reader.results(), reader.cost(), options);
}

TEST(export_rows, order_of_the_sweep_and_of_the_run_does_not_show) {
  TemporaryFolder folder;
  {
    DatabaseSink sink(folder / "a.sqlite");
    run_all(sink, sample_plan().plan());
  }
  {
    DatabaseSink sink(folder / "b.sqlite");
    run_all(sink, sample_plan().reverse_trials().plan(), true);
  }
  for (const bool json : {false, true}) {
    const std::string a = exported(folder / "a.sqlite", {.json = json});
    EXPECT_GT(a.size(), 1000u);
    EXPECT_EQ(a, exported(folder / "b.sqlite", {.json = json}));
  }
}

TEST(export_rows, crashes_on_the_way_do_not_show) {
  TemporaryFolder folder;
  const SamplePlan plan = sample_plan();
  {
    DatabaseSink sink(folder / "a.sqlite");
    run_all(sink, plan.plan());
  }
  {
    DatabaseSink sink(folder / "b.sqlite");
    sink.begin(plan.plan(), {});
    record::RecordGroup crash;
    crash.attempts.push_back(
        {.key = plan.plan().stages[3].key, .number = 1, .outcome = "crash", .message = "signal 9"});
    crash.events.push_back({.unix_s = 5, .kind = "slot_lost", .message = "host/0.1"});
    sink.commit(crash);
  }
  {
    DatabaseSink sink(folder / "b.sqlite");
    run_all(sink, plan.plan(), true);
  }
  EXPECT_EQ(exported(folder / "a.sqlite"), exported(folder / "b.sqlite"));
}

TEST(export_rows, times_come_only_when_asked_for) {
  TemporaryFolder folder;
  {
    DatabaseSink sink(folder / "a.sqlite");
    run_all(sink, sample_plan().plan());
  }
  EXPECT_THAT(exported(folder / "a.sqlite"), ::testing::Not(::testing::HasSubstr("latency")));
  const std::string timing = exported(folder / "a.sqlite", {.timing = true});
  EXPECT_THAT(timing, ::testing::HasSubstr("latency"));
  EXPECT_THAT(timing, ::testing::HasSubstr("trial_paid_s"));
}

TEST(export_rows, csv_has_one_field_a_column_in_each_row) {
  ResultRow row{.trial = "a", .model = "with \"quotes\", and commas", .value = 0.1};
  const std::string text = export_rows({row}, {}, {});
  EXPECT_THAT(text, ::testing::HasSubstr("\"with \"\"quotes\"\", and commas\""));
  EXPECT_THAT(text, ::testing::HasSubstr(",0.1,"));
}

TEST(export_rows, json_is_a_list_of_objects_that_reads_back) {
  ResultRow row{.trial = "a", .identity = {{"seed", 3}}, .value = 1.0 / 3};
  const Json json = Json::parse(export_rows({row, row}, {}, {.json = true}));
  ASSERT_EQ(json.size(), 2u);
  EXPECT_EQ(json[0]["value"].get<double>(), 1.0 / 3);
  EXPECT_EQ(json[0]["identity"]["seed"], 3);
  EXPECT_EQ(export_rows({}, {}, {.json = true}), "[\n]\n");
}

}  // namespace
}  // namespace assay::results
