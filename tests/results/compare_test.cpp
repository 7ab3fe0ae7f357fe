#include "results/board/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "harness/base/error.h"
#include "results/board/compared_row.h"
#include "results/board/comparison_table.h"
#include "results/board/metric_pairs.h"
#include "tests/results/sample_run.h"
#include "tests/support/refusal.h"

namespace assay::results {
namespace {

using assay::testing::refusal;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class CompareTest : public ::testing::Test {
 protected:
  template <typename T>
  std::filesystem::path write(const std::string& file, const std::string& tensor,
                              const std::string& dtype, const std::vector<T>& values) {
    const auto path = folder / file;
    write_safetensors(path, {{tensor,
                              {.dtype = dtype,
                               .shape = {static_cast<std::int64_t>(values.size())},
                               .bytes = std::as_bytes(std::span(values))}}});
    return path;
  }

  static SampleFiles open(const std::filesystem::path& path) {
    return {std::make_shared<const SafetensorsFile>(path)};
  }

  // A figure as the database knows it.
  static ResultRow figure(const std::string& name, const SampleValues& samples,
                          bool higher_is_better = false) {
    ResultRow row;
    row.metric = row.name = name;
    row.data = "d";
    row.split = "test";
    row.higher_is_better = higher_is_better;
    row.samples = text_of(samples);
    return row;
  }

  TemporaryFolder folder;
  BootstrapOptions quick{.resamples = 200};
  const ResultRow top1 = figure("top1", {"correct", SampleStatistic::kShare}, true);
  const ResultRow loss = figure("loss", {"nll"});
};

TEST_F(CompareTest, accuracy_is_in_percent_and_flips_are_counted) {
  const std::vector<std::uint8_t> a = {1, 1, 1, 0, 0, 1, 1, 1}, b = {1, 0, 0, 1, 0, 1, 1, 1};
  const Comparison found = compare_samples(top1, open(write("a", "correct", "U8", a)),
                                           open(write("b", "correct", "U8", b)), true, quick);
  EXPECT_EQ(found.name, "top1");
  EXPECT_EQ(found.where, "d/test");
  EXPECT_DOUBLE_EQ(found.estimate.left, 75.0);
  EXPECT_DOUBLE_EQ(found.estimate.right, 62.5);
  EXPECT_DOUBLE_EQ(found.estimate.difference, 12.5);
  EXPECT_EQ(found.flips->only_left, 2);
  EXPECT_EQ(found.flips->only_right, 1);
  EXPECT_LE(found.estimate.low, 12.5);
  EXPECT_GE(found.estimate.high, 12.5);
}

TEST_F(CompareTest, windows_give_nats_a_token_and_perplexity_over_all_tokens) {
  const std::vector<double> a = {20, 90}, b = {10, 60};
  const std::vector<std::int64_t> tokens = {10, 30}, other = {10, 20};
  const auto save = [&](const char* file, const std::vector<double>& nll,
                        const std::vector<std::int64_t>& counts) {
    write_safetensors(
        folder / file,
        {{"window_nll", {.dtype = "F64", .shape = {2}, .bytes = std::as_bytes(std::span(nll))}},
         {"window_tokens",
          {.dtype = "I64", .shape = {2}, .bytes = std::as_bytes(std::span(counts))}}});
    return folder / file;
  };
  const SampleFiles left = open(save("a", a, tokens)), right = open(save("b", b, tokens));
  const ResultRow nll = figure("nll", {"window_nll", SampleStatistic::kMean, "window_tokens"});
  const std::vector<Comparison> found = {
      compare_samples(nll, left, right, true, quick),
      compare_samples(
          figure("perplexity", {"window_nll", SampleStatistic::kExpMean, "window_tokens"}), left,
          right, true, quick)};
  EXPECT_EQ(found[0].name, "nll");
  EXPECT_DOUBLE_EQ(found[0].estimate.difference, 110.0 / 40 - 70.0 / 40);
  EXPECT_EQ(found[1].name, "perplexity");
  EXPECT_DOUBLE_EQ(found[1].estimate.left, std::exp(110.0 / 40));
  EXPECT_DOUBLE_EQ(found[1].estimate.right, std::exp(70.0 / 40));
  EXPECT_EQ(comparison_table("a", "b", found, false, quick).rows[0].back().text, "too few samples");
  EXPECT_THROW(compare_samples(nll, left, open(save("c", b, other)), true, quick), Error);
}

TEST_F(CompareTest, samples_of_unequal_length_are_an_error_that_names_the_file) {
  const std::vector<double> a = {1, 2, 3}, b = {1, 2};
  EXPECT_THAT(refusal([&] {
                compare_samples(loss, open(write("a", "nll", "F64", a)),
                                open(write("b", "nll", "F64", b)), true, quick);
              }),
              HasSubstr("data: " + (folder / "b").string()));
}

TEST_F(CompareTest, a_file_without_the_declared_tensor_is_an_error) {
  const std::vector<double> a = {1, 2};
  EXPECT_THROW(compare_samples(loss, open(write("a", "nll", "F64", a)),
                               open(write("b", "correct", "F64", a)), true, quick),
               Error);
}

TEST_F(CompareTest, a_share_is_of_answers_that_are_right_or_wrong) {
  const std::vector<double> a = {1, 0}, b = {1, 0.5};
  EXPECT_THAT(refusal([&] {
                compare_samples(top1, open(write("a", "correct", "F64", a)),
                                open(write("b", "correct", "F64", b)), true, quick);
              }),
              AllOf(HasSubstr("data: " + (folder / "b").string()), HasSubstr("0.5")));
}

// exp(1000) has no double, and -nan was taken for a verdict.
TEST_F(CompareTest, what_overflows_and_one_sample_name_no_winner) {
  const std::vector<double> huge = {2000, 1500}, small = {1, 2}, one = {1}, two = {2};
  const ResultRow ppl = figure("ppl", {"nll", SampleStatistic::kExpMean});
  const auto verdicts = [&](const std::vector<double>& a, const std::vector<double>& b) {
    const SampleFiles left = open(write("a", "nll", "F64", a));
    const SampleFiles right = open(write("b", "nll", "F64", b));
    const std::vector<Comparison> both = {compare_samples(ppl, left, right, true, quick),
                                          compare_samples(ppl, right, left, true, quick)};
    EXPECT_TRUE(std::isnan(both[0].estimate.low));
    const Table table = comparison_table("a", "b", both, false, quick);
    return std::pair(table.rows[0].back().text, table.rows[1].back().text);
  };
  const auto none = std::pair<std::string, std::string>("not resolved", "not resolved");
  EXPECT_EQ(verdicts(huge, small), none);
  EXPECT_EQ(verdicts(huge, huge), none);
  EXPECT_EQ(verdicts(one, two), none);
}

TEST_F(CompareTest, values_that_are_not_finite_are_named_with_their_sample) {
  const std::vector<double> a = {1, std::numeric_limits<double>::quiet_NaN()}, b = {1, 2};
  EXPECT_THAT(refusal([&] {
                compare_samples(loss, open(write("a", "nll", "F64", a)),
                                open(write("b", "nll", "F64", b)), true, quick);
              }),
              AllOf(HasSubstr((folder / "a").string()), HasSubstr("'nll' is nan at sample 1")));
}

TEST_F(CompareTest, comparisons_of_one_figure_say_in_what_their_settings_differ) {
  const auto row = [](const char* metric, const char* fingerprint, const char* settings) {
    ResultRow made = figure("n", {"nll", SampleStatistic::kMean});
    made.metric = metric;
    made.data = "d";
    made.split = "test";
    made.fingerprint = made.stage = fingerprint;
    made.settings = settings;
    made.value = 1;
    return made;
  };
  const ResultRow a = row("m", "f1", R"({"limit":4,"stride":0})");
  const ResultRow b = row("m", "f2", R"({"limit":8,"stride":0})");
  const ResultRow z = row("z", "f3", R"({"limit":4})"), other = row("z", "f4", R"({"limit":5})");
  const auto protocol = [](const std::string& fingerprint) {
    return Json{{"settings", {{"limit", fingerprint}}}};
  };
  std::vector<std::string> left_out, places;
  for (const MetricPair& pair : common_metrics({a, b, z}, {a, b, z}, protocol, left_out)) {
    places.push_back(pair.where);
  }
  EXPECT_THAT(places, ::testing::ElementsAre("d/test limit=4", "d/test limit=8", "d/test"));
  EXPECT_THAT(left_out, ::testing::IsEmpty());
  EXPECT_EQ(common_metrics({a, z}, {a, other}, protocol, left_out).size(), 1U);
  ASSERT_EQ(left_out.size(), 1U) << "one metric that differs does not refuse the others";
  EXPECT_THAT(left_out[0], HasSubstr("z on d/test was measured under different protocols"));
  EXPECT_THAT(left_out[0], HasSubstr("settings.limit: f3 and f4"));
}

TEST_F(CompareTest, a_bootstrap_of_few_samples_names_no_winner) {
  std::vector<double> a(9, 1), b(9, 2);
  const auto verdict = [&] {
    const Comparison c = compare_samples(loss, open(write("a", "nll", "F64", a)),
                                         open(write("b", "nll", "F64", b)), true, quick);
    return comparison_table("a", "b", {c}, false, quick).rows[0].back().text;
  };
  EXPECT_EQ(verdict(), "too few samples");
  a.push_back(1);
  b.push_back(2);
  EXPECT_EQ(verdict(), "A better");
}

TEST_F(CompareTest, tiny_differences_are_shown_and_last_bits_are_not) {
  Comparison c{.metric = "m", .where = "d/test", .name = "n", .unit = ""};
  c.estimate = {
      .n = 100, .left = 1e-9, .right = 2e-9, .difference = -1e-9, .low = -2e-9, .high = 0};
  const std::vector<Cell> tiny = comparison_table("a", "b", {c}, false, quick).rows[0];
  EXPECT_EQ(tiny[3].text, "1e-09");
  EXPECT_EQ(tiny[5].text, "-1e-09");
  c.estimate = {.n = 100, .left = 7.5, .right = 7.5, .difference = -9e-16, .low = 0, .high = 0};
  EXPECT_EQ(comparison_table("a", "b", {c}, false, quick).rows[0][5].text, "0.0000");
}

TEST_F(CompareTest, figures_are_paired_that_both_sides_declare_alike_and_have_measured) {
  const SamplePlan plan = SamplePlan().trial("rtn", "W8A8");
  DatabaseSink sink(folder / "r.sqlite");
  run_all(sink, plan.plan());
  Reader reader(folder / "r.sqlite");
  std::vector<ResultRow> rows = reader.results();
  for (ResultRow& row : rows) {
    if (row.name == "top5") row.samples = text_of({"top5", SampleStatistic::kShare});
  }
  std::vector<std::string> left_out;
  const auto pair_with = [&](std::vector<ResultRow> other) {
    std::vector<std::string> names;
    for (const MetricPair& pair : common_metrics(
             rows, other, [&](const std::string& f) { return reader.protocol(f); }, left_out)) {
      for (const ResultRow& row : pair.figures) names.push_back(row.name);
    }
    return names;
  };
  EXPECT_THAT(pair_with(rows), ::testing::ElementsAre("top1", "top5"));
  std::vector<ResultRow> unmeasured = rows, otherwise = rows;
  for (ResultRow& row : unmeasured) {
    if (row.name == "top5") row.value.reset();
  }
  for (ResultRow& row : otherwise) {
    if (row.name == "top5") row.samples = text_of({"correct", SampleStatistic::kMean});
  }
  EXPECT_THAT(pair_with(unmeasured), ::testing::ElementsAre("top1"));
  EXPECT_THAT(pair_with(otherwise), ::testing::ElementsAre("top1"));
}

TEST_F(CompareTest, different_protocols_are_refused_with_the_fields_that_differ) {
  const SamplePlan plan =
      SamplePlan().trial("rtn", "W8A8", -1, "d1").trial("rtn", "W4A8", -1, "d2");
  DatabaseSink sink(folder / "r.sqlite");
  run_all(sink, plan.plan());
  Reader reader(folder / "r.sqlite");
  std::vector<ResultRow> a, b;
  for (const ResultRow& row : reader.results()) (row.bits == "W8A8" ? a : b).push_back(row);
  const auto protocol = [&](const std::string& f) { return reader.protocol(f); };
  std::vector<std::string> left_out;
  EXPECT_EQ(common_metrics(a, a, protocol, left_out).size(), 1u);
  EXPECT_THAT(refusal([&] { common_metrics(a, b, protocol, left_out); }),
              AllOf(StartsWith("config: "), HasSubstr("data.files: d1 and d2")));
  EXPECT_THROW(common_metrics(a, {}, protocol, left_out), Error);
}

TEST_F(CompareTest, seeds_of_a_side_are_averaged) {
  const std::vector<double> a0 = {1, 1, 1, 0}, a1 = {1, 1, 0, 0}, b = {0, 1, 0, 0};
  const SampleFiles left{open(write("a0", "correct", "F64", a0))[0],
                         open(write("a1", "correct", "F64", a1))[0]};
  const Comparison found =
      compare_samples(top1, left, open(write("b", "correct", "F64", b)), false, quick);
  EXPECT_DOUBLE_EQ(found.estimate.left, 62.5);
  EXPECT_DOUBLE_EQ(found.estimate.difference, 37.5);
  EXPECT_FALSE(found.flips.has_value());
}

TEST_F(CompareTest, a_label_without_its_seed_means_all_seeds) {
  const SamplePlan plan = SamplePlan().trial("psaq_vit", "W4A8", 0).trial("psaq_vit", "W4A8", 1);
  DatabaseSink sink(folder / "r.sqlite");
  run_all(sink, plan.plan());
  Reader reader(folder / "r.sqlite");
  const std::string label = reader.trials()[0].label;
  const ComparedRow one = find_row(reader, label);
  EXPECT_EQ(one.trials.size(), 1u);
  const std::size_t at = label.find(" seed=");
  ASSERT_NE(at, std::string::npos) << label;
  const ComparedRow all = find_row(reader, label.substr(0, at));
  ASSERT_EQ(all.trials.size(), 2u);
  EXPECT_EQ(all.seeds()[0].first, 0);
  EXPECT_EQ(all.seeds()[1].first, 1);
  EXPECT_THROW(find_row(reader, "nobody"), Error);
}

// Steps of a composition may have parameters of one name.
TEST_F(CompareTest, trials_that_share_a_label_and_are_no_repeats_are_refused) {
  SamplePlan plan;
  const Json few = {{"samples", 8}}, many = {{"samples", 32}};
  plan.trial({.model = "m", .method = "a", .bits = "W4A8", .seed = 0, .parameters = few});
  plan.trial({.model = "m", .method = "a", .bits = "W4A8", .seed = 0, .parameters = many});
  plan.trial({.model = "m", .method = "a", .bits = "W4A8", .seed = 1, .parameters = few});
  DatabaseSink sink(folder / "r.sqlite");
  run_all(sink, plan.plan());
  Reader reader(folder / "r.sqlite");
  for (const char* label : {"m a W4A8 seed=0", "m a W4A8"}) {
    const std::string refused = refusal([&] { find_row(reader, label); });
    EXPECT_THAT(refused, HasSubstr("are not repeats of one another")) << label;
    for (const std::size_t trial : {0, 1}) {
      EXPECT_THAT(refused, HasSubstr(plan.plan().trials[trial].id));
    }
  }
  EXPECT_EQ(find_row(reader, "m a W4A8 seed=1").trials.size(), 1u);
  EXPECT_EQ(find_row(reader, plan.plan().trials[1].id).trials.size(), 1u);
}

}  // namespace
}  // namespace assay::results
