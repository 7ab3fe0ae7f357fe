#include "results/board/quantization.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "results/board/board.h"
#include "results/board/metric_pairs.h"
#include "results/board/provenance.h"
#include "results/board/show.h"
#include "tests/results/sample_run.h"

namespace assay::results {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Json half(const char* name, const char* digest) {
  return {{name, 4}, {"digest", digest}, {"float_layers", {"head"}}};
}

// A board over rows of these methods, each with what its network's stage said.
class QuantizationTest : public ::testing::Test {
 protected:
  void add(const std::string& method, const std::string& bits, Json said) {
    plan_.trial(method, bits);
    said_.push_back(std::move(said));
  }

  std::vector<Table> tables() {
    RunResults results = run();
    std::map<std::string, Json> by_trial;
    for (std::size_t i = 0; i < said_.size(); ++i) by_trial[plan_.plan().trials[i].id] = said_[i];
    for (ResultRow& row : results.results) row.quantization = by_trial.at(row.trial);
    return board({results});
  }

  // The methods of each table, best first.
  static std::vector<std::vector<std::string>> methods(const std::vector<Table>& tables) {
    std::vector<std::vector<std::string>> out;
    for (const Table& table : tables) {
      std::vector<std::string> names;
      for (const auto& row : table.rows) names.push_back(row[2].text + " " + row[3].text);
      std::sort(names.begin(), names.end());
      out.push_back(names);
    }
    return out;
  }

  RunResults run() {
    {
      DatabaseSink sink(folder_ / "r.sqlite");
      run_all(sink, plan_.plan());
    }
    Reader reader(folder_ / "r.sqlite");
    return load(reader, "sample");
  }

  SamplePlan plan_;
  std::vector<Json> said_;
  TemporaryFolder folder_;
};

TEST(QuantizationNote, is_for_trials_that_no_board_puts_into_one_table) {
  const auto row = [](const std::string& bits, const Json& said) {
    ResultRow made;
    made.bits = bits;
    made.quantization = said;
    return made;
  };
  const Json all = half("layers", "all"), sites = half("sites", "network"),
             p1 = half("sites", "p1");
  const ResultRow plain = row("", nullptr);
  const ResultRow a = row("W8A8", {{"weights", all}, {"activations", sites}});
  const ResultRow b = row("W8A8", {{"weights", all}, {"activations", p1}});
  const ResultRow weights = row("W4A16", {{"weights", all}, {"activations", nullptr}});
  EXPECT_EQ(quantization_note(plain, a), "");
  EXPECT_EQ(quantization_note(a, a), "");
  EXPECT_EQ(quantization_note(weights, b), "");
  EXPECT_THAT(quantization_note(a, b), HasSubstr("quantized by different protocols: A by"));
}

TEST_F(QuantizationTest, rows_of_unlike_protocols_stand_apart_and_float_with_each) {
  const Json all = half("layers", "all"), sites = half("sites", "network"),
             p1 = half("sites", "p1");
  add("float", "", nullptr);
  add("rtn", "W8A8", {{"weights", all}, {"activations", sites}});
  add("psaq_vit", "W8A8", {{"weights", all}, {"activations", p1}});
  add("rtn", "W4A16", {{"weights", all}, {"activations", nullptr}});
  add("rtn", "W16A16", {{"weights", nullptr}, {"activations", nullptr}});
  EXPECT_THAT(methods(tables()),
              ElementsAre(ElementsAre("float ", "rtn W16A16", "rtn W4A16", "rtn W8A8"),
                          ElementsAre("float ", "psaq_vit W8A8", "rtn W16A16", "rtn W4A16")));
}

TEST_F(QuantizationTest, methods_that_leave_other_layers_float_are_not_ranked_together) {
  add("rtn", "W4A16", {{"weights", half("layers", "all")}, {"activations", nullptr}});
  add("gptq", "W4A16", {{"weights", half("layers", "blocks")}, {"activations", nullptr}});
  EXPECT_EQ(tables().size(), 2U);
}

TEST_F(QuantizationTest, a_method_that_says_nothing_stands_apart_and_the_title_says_so) {
  add("float", "", nullptr);
  add("rtn", "W4A16", {{"weights", half("layers", "all")}, {"activations", nullptr}});
  add("mine", "W4A16", nullptr);
  const std::vector<Table> both = tables();
  ASSERT_EQ(both.size(), 2U);
  EXPECT_THAT(both[0].title + both[1].title, HasSubstr("quantized: by methods that do not say what "
                                                       "they quantize"));
  EXPECT_THAT(both[0].title + both[1].title, HasSubstr("quantized: 4 layers (float: head)"));
}

TEST_F(QuantizationTest, a_composition_is_unstated_if_one_of_its_networks_is) {
  add("mine", "W4A16", nullptr);
  add("rtn", "W4A16", nullptr);
  plan::Plan& plan = plan_.plan();
  plan::Stage &mine = plan.stages[1], &last = plan.stages[3];
  mine.recipe = Json{{"parameters", {{"w_bits", 4}}}};
  last.inputs.push_back({"network", mine.key});
  const auto row_of_last = [&](const Json& said_by_mine) {
    DatabaseSink sink(folder_ / "c.sqlite");
    sink.begin(plan, {.unix_s = 1, .host = "h", .sweep_text = "x"});
    for (const plan::Stage& stage : plan.stages) {
      record::RecordGroup group = done(stage, metrics_of(stage));
      if (stage.key == mine.key) group.stages[0].result["quantization"] = said_by_mine;
      if (stage.key == last.key) {
        group.stages[0].result["quantization"] = {{"weights", half("layers", "all")},
                                                  {"activations", nullptr}};
      }
      sink.commit(group);
    }
    Reader reader(folder_ / "c.sqlite");
    for (const ResultRow& row : reader.results()) {
      if (row.method == "rtn") return quantization_of(row);
    }
    return Quantization();
  };
  EXPECT_THAT(quantization_text(row_of_last(nullptr)), HasSubstr("do not say"));
  EXPECT_THAT(quantization_text(row_of_last({{"weights", half("layers", "all")}})),
              HasSubstr("4 layers (float: head)"));
}

TEST_F(QuantizationTest, values_of_the_network_are_columns_and_rows_of_the_export) {
  add("float", "", nullptr);
  add("rtn", "W4A16", nullptr);
  plan::Plan& plan = plan_.plan();
  plan::PlannedTrial& trial = plan.trials[1];
  trial.metrics.push_back(
      {.metric = kNetworkMetric,
       .values =
           std::vector<MetricValue>{{.name = "bits_per_weight", .unit = "bits", .primary = true},
                                    {.name = "float_layers", .unit = "layers", .primary = true},
                                    {.name = "weight_bytes", .unit = "bytes", .primary = true}},
       .protocol = Json::object(),
       .stage = static_cast<std::size_t>(trial.network_stage)});
  {
    DatabaseSink sink(folder_ / "n.sqlite");
    sink.begin(plan, {.unix_s = 1, .host = "h", .sweep_text = "x"});
    for (const plan::Stage& stage : plan.stages) {
      Json metrics = metrics_of(stage);
      if (stage.name == "rtn.quantize") {
        metrics = {{"bits_per_weight", 4.157}, {"float_layers", 2}, {"weight_bytes", 123456}};
      }
      record::RecordGroup group = done(stage, metrics);
      if (stage.name == "rtn.quantize") {
        group.stages[0].result["quantization"] = {
            {"weights", {{"layers", 16}, {"float_layers", {"patch_embed.proj", "head"}}}},
            {"activations", nullptr}};
      }
      sink.commit(group);
    }
  }
  Reader reader(folder_ / "n.sqlite");
  const RunResults results = load(reader, "sample");
  const std::vector<Table> made = board({results});
  ASSERT_EQ(made.size(), 1U);
  const std::string text = render(made, {});
  EXPECT_THAT(text, HasSubstr("bits_per_weight"));
  EXPECT_THAT(text, HasSubstr("4.157"));
  EXPECT_THAT(text, HasSubstr("123.46 kB"));
  EXPECT_THAT(text, HasSubstr("2 (patch_embed.proj, head)"));
  std::vector<std::string> names;
  for (const ResultRow& row : results.results) {
    if (row.metric == kNetworkMetric) names.push_back(row.name);
  }
  EXPECT_THAT(names, ElementsAre("bits_per_weight", "float_layers", "weight_bytes"));
  // They are counted, not measured on samples: no comparison pairs them.
  std::vector<std::string> left_out;
  for (const MetricPair& pair : common_metrics(
           results.results, results.results, [](const std::string&) { return Json(); }, left_out)) {
    EXPECT_NE(pair.left.metric, kNetworkMetric);
  }
}

TEST_F(QuantizationTest, show_names_inputs_by_digest_and_the_fields_of_protocols) {
  add("rtn", "W4A16", nullptr);
  const RunResults results = run();
  Reader reader(folder_ / "r.sqlite");
  const std::string text = render(show(reader, results.trials[0]), {});
  EXPECT_THAT(text, HasSubstr("quantized"));
  EXPECT_THAT(text, HasSubstr("47 sites by round(x/s) + z"));
  EXPECT_THAT(text, HasSubstr("measured.samples"));
  const Table inputs = inputs_table(
      {{.recipe = Json::parse(R"({"model": {"files": [{"role": "weights", "name": "m", "digest":
                                  "ab"}]}, "data": {"reader": "text", "split": "test", "files":
                                  [{"role": "", "name": "b.txt", "digest": "cd"}]}})")},
       {.recipe = Json::parse(R"({"model": {"files": {"config.json": "ef"}}})")}});
  ASSERT_EQ(inputs.rows.size(), 3U);
  EXPECT_EQ(inputs.rows[0][0].text, "data text/test");
  EXPECT_EQ(inputs.rows[0][2].text, "cd");
  EXPECT_EQ(inputs.rows[1][1].text, "config.json");
  EXPECT_EQ(inputs.rows[2][0].text, "model weights");
}

TEST(Quantization, halves_that_stay_float_fit_every_table) {
  EXPECT_TRUE(fits({"", ""}, {"w", "a"}));
  EXPECT_TRUE(fits({"w", ""}, {"w", "a"}));
  EXPECT_FALSE(fits({"w", "a"}, {"w", ""}));
  EXPECT_THAT(tables_for({{"", ""}, {"w", ""}, {"", "a"}, {"w", "a"}, {"w", "b"}}),
              ElementsAre(Quantization{"w", "a"}, Quantization{"w", "b"}));
  EXPECT_THAT(tables_for({{"", ""}}), ElementsAre(Quantization{}));
}

}  // namespace
}  // namespace assay::results
