#include "results/board/board.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "harness/base/atomic_file.h"
#include "results/board/ledger.h"
#include "results/board/show.h"
#include "results/store/checksum.h"
#include "tests/results/sample_run.h"
#include "tests/support/refusal.h"

namespace assay::results {
namespace {

using assay::testing::refusal;

class BoardTest : public ::testing::Test {
 protected:
  RunResults run(const SamplePlan& plan) {
    {
      DatabaseSink sink(folder / "r.sqlite");
      run_all(sink, plan.plan());
    }
    Reader reader(folder / "r.sqlite");
    return load(reader, "sample");
  }
  TemporaryFolder folder;
};

TEST_F(BoardTest, looks_as_it_did) {
  SamplePlan plan;
  plan.trial("float", "").trial("rtn", "W8A8");
  for (int seed = 0; seed < 3; ++seed) plan.trial("psaq_vit", "W4A8", seed);
  plan.with_latency();
  EXPECT_EQ(render(board({run(plan)}), {}), read_file("tests/results/golden/board.txt"));
}

TEST_F(BoardTest, different_protocols_never_share_a_table) {
  const auto tables =
      board({run(SamplePlan().trial("rtn", "W8A8", -1, "d1").trial("rtn", "W4A8", -1, "d2"))});
  ASSERT_EQ(tables.size(), 2u);
  EXPECT_EQ(tables[0].rows.size(), 1u);
  EXPECT_EQ(tables[1].rows.size(), 1u);
  EXPECT_NE(tables[0].title, tables[1].title);
}

TEST_F(BoardTest, a_table_says_what_its_data_set_passes_over) {
  RunResults results = run(SamplePlan().trial("rtn", "W8A8"));
  for (ResultRow& row : results.results) row.settings = R"({"passed_over":"2 hidden files"})";
  EXPECT_THAT(board({results})[0].notes,
              ::testing::Contains(::testing::EndsWith(": passed over 2 hidden files")));
}

TEST_F(BoardTest, seeds_become_mean_deviation_and_number) {
  RunResults results = run(SamplePlan().trial("m", "W4A8", 0).trial("m", "W4A8", 1));
  double value = 10;
  for (ResultRow& row : results.results) row.value = value += 1;  // top1: 11 and 13
  const auto tables = board({results});
  ASSERT_EQ(tables[0].rows.size(), 1u);
  EXPECT_EQ(tables[0].rows[0][4].text, "12.00");
  EXPECT_EQ(tables[0].rows[0][5].text, "\u00b11.41");
  EXPECT_EQ(tables[0].rows[0][6].text, "2");
  const Table each = board({results}, {.each_seed = true})[0];
  ASSERT_EQ(each.rows.size(), 2u);
  EXPECT_EQ(each.rows[0][2].text, "m seed=1");
  EXPECT_EQ(each.rows[1][2].text, "m seed=0");
}

TEST_F(BoardTest, deterministic_methods_have_no_spread) {
  const auto tables = board({run(SamplePlan().trial("rtn", "W8A8"))});
  EXPECT_EQ(tables[0].rows[0][5].text, "-");
  EXPECT_EQ(tables[0].rows[0][6].text, "deterministic");
}

TEST_F(BoardTest, the_best_comes_first_in_the_direction_of_the_figure) {
  RunResults results = run(SamplePlan().trial("a", "W8A8").trial("b", "W8A8"));
  for (ResultRow& row : results.results) row.value = row.method == "a" ? 5.0 : 6.0;
  EXPECT_EQ(board({results})[0].rows[0][2].text, "b");
  for (ResultRow& row : results.results) row.higher_is_better = false;
  EXPECT_EQ(board({results})[0].rows[0][2].text, "a");
}

TEST_F(BoardTest, a_row_says_what_is_off_its_default_or_differs_from_another_row_of_its_model) {
  const auto tables = board(
      {run(SamplePlan()
               .trial({"a", "m", "W8A8", -1, "d1", {{"steps", 100}, {"lr", 1}}, {{"steps", 100}}})
               .trial({"b", "m", "W8A8", -1, "d1", {{"steps", 500}, {"lr", 1}}, Json::object()})
               .trial({"c", "m", "W8A8", -1, "d1", {{"steps", 500}, {"lr", 1}}, Json::object()})
               .trial({"c", "m", "W8A8", -1, "d1", {{"steps", 500}, {"lr", 2}}, {{"lr", 2}}}))});
  std::vector<std::string> methods;
  for (const auto& row : tables[0].rows) methods.push_back(row[1].text + ": " + row[2].text);
  EXPECT_THAT(methods,
              ::testing::UnorderedElementsAre("a: m steps=100", "b: m", "c: m lr=1", "c: m lr=2"));
}

TEST_F(BoardTest, models_are_ranked_apart) {
  SamplePlan plan;
  for (const char* model : {"a", "b"}) {
    plan.trial({.model = model, .method = "m", .bits = "W8A8"});
    plan.trial({.model = model, .method = "m", .bits = "W4A8"});
  }
  const auto tables = board({run(plan)});
  std::string ranks;
  for (const auto& row : tables[0].rows) ranks += row[0].text;
  EXPECT_EQ(ranks, "1212");
  EXPECT_THAT(tables[0].title, ::testing::HasSubstr("ranked within each model"));
}

// The texts of one column, top to bottom.
std::vector<std::string> column_of(const Table& table, const std::string& name) {
  const auto column = std::find_if(table.columns.begin(), table.columns.end(),
                                   [&](const auto& each) { return each.name == name; });
  std::vector<std::string> texts;
  if (column == table.columns.end()) return texts;
  for (const auto& row : table.rows)
    texts.push_back(row[static_cast<std::size_t>(column - table.columns.begin())].text);
  return texts;
}

TEST_F(BoardTest, other_weights_under_one_name_are_another_model) {
  const Json before = {{"weights", "1111111122222222"}}, after = {{"weights", "3333333344444444"}};
  SamplePlan plan;
  plan.trial({.model = "a", .method = "float", .bits = "", .content = before});
  plan.trial({.model = "a", .method = "m", .bits = "W4A8", .content = after});
  const auto tables = board({run(plan)});
  EXPECT_THAT(column_of(tables[0], "model"),
              ::testing::ElementsAre("a (weights 11111111)", "a (weights 33333333)"));
  EXPECT_THAT(column_of(tables[0], "vs float"), ::testing::ElementsAre("+0.00", "-"));
}

TEST_F(BoardTest, seeds_of_two_versions_of_a_provider_are_no_repeats) {
  SamplePlan plan;
  for (const char* code : {"1111", "2222"}) {
    const Json content = {{"code.mine", code}};
    plan.trial({.model = "a", .method = "m", .bits = "W4A8", .seed = 0, .content = content});
    plan.trial({.model = "a", .method = "m", .bits = "W4A8", .seed = 1, .content = content});
  }
  const auto tables = board({run(plan)});
  EXPECT_THAT(column_of(tables[0], "n"), ::testing::ElementsAre("2", "2"));
  EXPECT_THAT(column_of(tables[0], "method"), ::testing::Each(::testing::HasSubstr("m (code ")));
}

TEST_F(BoardTest, revisions_of_a_stage_are_told_apart_and_stages_that_a_row_lacks_are_not) {
  SamplePlan plan;
  const Json old_stage = {{"revision.m.quantize", "3"}}, new_stage = {{"revision.m.quantize", "4"}};
  const Json with_ranges = {{"revision.m.quantize", "4"}, {"revision.m.observe", "1"}};
  plan.trial({.model = "a", .method = "m", .bits = "W4A8", .seed = 0, .content = old_stage});
  plan.trial({.model = "a", .method = "m", .bits = "W4A8", .seed = 1, .content = new_stage});
  plan.trial({.model = "a", .method = "one", .bits = "W4A16", .seed = 0, .content = new_stage});
  plan.trial({.model = "a", .method = "one", .bits = "W4A8", .seed = 0, .content = with_ranges});
  const auto tables = board({run(plan)});
  EXPECT_THAT(column_of(tables[0], "n"), ::testing::Each("1"));
  int told_apart = 0, plain = 0;
  for (const std::string& name : column_of(tables[0], "method")) {
    told_apart += name.starts_with("m (code ");
    plain += name == "one";
  }
  EXPECT_EQ(told_apart, 2);
  EXPECT_EQ(plain, 2);
}

TEST_F(BoardTest, cost_of_all_rows_adds_up_to_the_ledger) {
  SamplePlan plan;
  for (const char* bits : {"W8A8", "W4A8", "W2A8"}) plan.trial("m", bits, 0).trial("m", bits, 1);
  const RunResults results = run(plan);
  const Ledger ledger = ledger_of(results.stages);
  double rows = 0, paid = 0;
  const auto tables = board({results});
  for (const auto& cells : tables[0].rows) rows += cells[7].value.get<double>();
  for (const CostRow& row : results.cost) paid += row.paid_s;
  EXPECT_EQ(ledger.executions, 13);  // 1 shared + 6 + 6
  EXPECT_DOUBLE_EQ(ledger.paid_s, 26.0);
  EXPECT_NEAR(rows, ledger.worth_s, 1e-9);
  EXPECT_NEAR(paid, ledger.attributed_s, 1e-9);
  EXPECT_EQ(ledger.avoided, 5);
  EXPECT_DOUBLE_EQ(ledger.saved_s, 10.0);
}

TEST_F(BoardTest, two_runs_with_one_result_show_it_once) {
  RunResults first = run(SamplePlan().trial("rtn", "W8A8"));
  RunResults second = first;
  second.run = "other";
  EXPECT_EQ(board({first, second})[0].rows.size(), 1u);
}

TEST_F(BoardTest, a_timing_of_trials_that_have_no_other_figure_is_a_table) {
  RunResults results = run(SamplePlan().trial("a", "W8A8").trial("b", "W8A8").with_latency());
  EXPECT_EQ(board({results}).size(), 1u) << "a column is enough";
  std::erase_if(results.results,
                [](const ResultRow& row) { return row.method == "b" && row.metric == "top1"; });
  const auto tables = board({results});
  ASSERT_EQ(tables.size(), 2u);
  EXPECT_THAT(tables[0].title, ::testing::StartsWith("latency (ms)"));
  EXPECT_THAT(column_of(tables[0], "method"), ::testing::ElementsAre("a", "b"));
  EXPECT_THAT(column_of(tables[1], "method"), ::testing::ElementsAre("a"));
  EXPECT_THAT(column_of(tables[0], "n"), ::testing::Each("1")) << "no time is like another";
  std::erase_if(results.results, [](const ResultRow& row) { return row.metric == "top1"; });
  EXPECT_THAT(column_of(board({results})[0], "method"), ::testing::ElementsAre("a", "b"));
}

TEST_F(BoardTest, each_of_two_runs_timed_one_trial_for_itself) {
  RunResults first = run(SamplePlan().trial("a", "W8A8").with_latency());
  RunResults second = first;
  second.run = "other";
  for (ResultRow& row : second.results) {
    if (row.timing) row.value = 9.5;
  }
  const auto tables = board({first, second});
  ASSERT_EQ(tables.size(), 2u);
  EXPECT_THAT(column_of(tables[0], "latency ms"), ::testing::ElementsAre("1.500", "9.500"));
  EXPECT_EQ(tables[1].rows.size(), 1u);
}

TEST_F(BoardTest, a_row_of_two_runs_keeps_its_seeds_and_is_compared_with_the_float_row_of_its_run) {
  RunResults first = run(SamplePlan().trial("float", "").trial("m", "W4A8", 1).with_latency());
  std::filesystem::remove(folder / "r.sqlite");
  remove_checksum(folder / "r.sqlite");
  RunResults second = run(
      SamplePlan().trial("float", "").trial("m", "W4A8", 1).trial("m", "W4A8", 2).with_latency());
  second.run = "other";
  for (ResultRow& row : second.results) {
    if (row.timing) row.value = row.method == "float" ? 9.0 : 10.0;
  }
  const auto tables = board({first, second});
  ASSERT_EQ(tables.size(), 2u);
  EXPECT_THAT(tables[0].title, ::testing::StartsWith("latency"));
  EXPECT_THAT(column_of(tables[0], "vs float"),
              ::testing::ElementsAre("+0.000", "+0.000", "+0.000", "+1.000"));
  EXPECT_THAT(column_of(tables[1], "n"), ::testing::UnorderedElementsAre("deterministic", "1", "2"))
      << "float is shown once";
  EXPECT_THAT(column_of(tables[1], "vs float"), ::testing::Not(::testing::Contains("-")));
}

TEST_F(BoardTest, a_time_of_some_seeds_only_says_how_many) {
  RunResults results = run(SamplePlan().trial("m", "W4A8", 0).trial("m", "W4A8", 1).with_latency());
  EXPECT_THAT(column_of(board({results})[0], "latency ms"), ::testing::ElementsAre("1.500"));
  bool first = true;
  std::erase_if(results.results,
                [&](const ResultRow& row) { return row.timing && std::exchange(first, false); });
  EXPECT_THAT(column_of(board({results})[0], "latency ms"), ::testing::ElementsAre("1.500 (n 1)"));
}

TEST_F(BoardTest, notes_of_all_stages_of_a_trial_are_counted_line_by_line) {
  const auto plan = SamplePlan().trial("a", "W8A8").trial("b", "W8A8").plan();
  DatabaseSink sink(folder / "r.sqlite");
  sink.begin(plan, {});
  for (const plan::Stage& stage : plan.stages) {
    record::RecordGroup group = done(stage, metrics_of(stage));
    if (stage.name == "a.quantize") group.stages[0].result["note"] = "one\ntwo";
    if (stage.name == "b.quantize") group.stages[0].result["note"] = "two";
    sink.commit(group);
  }
  const std::vector<NoteRow> notes = Reader(folder / "r.sqlite").notes();
  ASSERT_EQ(notes.size(), 2u);
  EXPECT_EQ(notes[0].note, "two");
  EXPECT_EQ(notes[0].trials, 2u);
  EXPECT_EQ(notes[1].trials, 1u);
}

TEST_F(BoardTest, a_limit_is_always_said) {
  RunResults results = run(SamplePlan().trial("rtn", "W8A8"));
  EXPECT_THAT(board({results})[0].title, ::testing::Not(::testing::HasSubstr("limit")));
  for (ResultRow& row : results.results) row.settings = R"({"limit":0})";
  EXPECT_THAT(board({results})[0].title, ::testing::Not(::testing::HasSubstr("limit"))) << "all";
  for (ResultRow& row : results.results) row.settings = R"({"limit":50})";
  EXPECT_THAT(board({results})[0].title, ::testing::HasSubstr("limit=50"));
}

TEST_F(BoardTest, a_board_without_results_says_so) {
  EXPECT_EQ(board({RunResults{.run = "r"}})[0].title, "no results yet");
}

TEST_F(BoardTest, a_trial_is_found_by_id_prefix_or_label) {
  const RunResults results = run(SamplePlan().trial("rtn", "W8A8").trial("rtn", "W4A8"));
  Reader reader(folder / "r.sqlite");
  const TrialSummary& trial = results.trials[0];
  EXPECT_EQ(find_trial(reader, trial.id).id, trial.id);
  EXPECT_EQ(find_trial(reader, trial.id.substr(0, 6)).id, trial.id);
  EXPECT_EQ(find_trial(reader, trial.label).id, trial.id);
  const auto refused = [&](const std::string& name) {
    return refusal([&] { find_trial(reader, name); });
  };
  EXPECT_THAT(refused("zzzz"), ::testing::HasSubstr("no trial 'zzzz'"));
  EXPECT_THAT(refused(""), ::testing::HasSubstr("no trial ''"));
  EXPECT_EQ(find_trial(reader, "W4A8 rtn vit").label, "vit rtn W4A8") << "as a board has its parts";
  EXPECT_THAT(refused("W4A8 rtn"), ::testing::HasSubstr("did you mean 'vit rtn W4A8'?"));
  EXPECT_THAT(refused("rtn"), ::testing::HasSubstr("'vit rtn W4A8' or 'vit rtn W8A8'"));
  EXPECT_THAT(render(show(reader, trial), {}), ::testing::HasSubstr("repeat alone"));
}

}  // namespace
}  // namespace assay::results
