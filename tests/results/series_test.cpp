#include "results/board/series.h"

#include <gtest/gtest.h>

namespace assay::results {
namespace {

TEST(Sparkline, spans_the_range_of_the_means) {
  EXPECT_EQ(sparkline({4, 2, 1}, 3), "█▃▁");
  EXPECT_EQ(sparkline({0, 1, 2, 3, 4, 5, 6, 7}, 99), "▁▂▃▄▅▆▇█");
  EXPECT_EQ(sparkline({8, 8, 1, 1}, 2), "█▁");
  EXPECT_EQ(sparkline({3, 3, 3}, 5), "▁▁▁");
  EXPECT_EQ(sparkline({-1e308, 1e308}, 2), "▁█") << "also a range beyond a double";
  EXPECT_EQ(sparkline(std::vector<double>(5000, 0.1), 32),
            sparkline(std::vector<double>(32, 1), 32))
      << "rounding is no shape";
  EXPECT_EQ(sparkline({}, 5), "");
}

Json loss(const Json& points) {
  return {
      {"loss",
       {{"points", points}, {"count", 7}, {"undefined", 1}, {"least", 0.5}, {"greatest", 9.0}}}};
}

TEST(SeriesTable, has_a_row_for_each_series) {
  TrialStageSummary train{.key = "0123456789abcdef", .label = "train vit"};
  train.series = loss({{50, 2.5}, {100, 0.5}, {120, nullptr}, {150, 1}});
  const Table table = series_table({train, TrialStageSummary{.label = "evaluate"}});
  ASSERT_EQ(table.rows.size(), 1U);
  std::vector<std::string> texts;
  for (const Cell& cell : table.rows[0]) texts.push_back(cell.text);
  EXPECT_EQ(texts,
            (std::vector<std::string>{"train vit", "0123456789ab", "loss", "7", "1", "2.5000",
                                      "0.5000", "9.0000", "1.0000", "150", "█▁▃"}));
  EXPECT_EQ(table.rows[0].back().value, train.series["loss"]["points"]);
}

TEST(SeriesTable, what_another_hand_wrote_is_passed_over) {
  for (const char* points : {"1", "[]", "[[1]]", "[[1, null]]", R"([["a", 1]])", "[[1.5, 1]]"}) {
    TrialStageSummary stage{.label = "s"};
    stage.series = loss(Json::parse(points));
    const Table table = series_table({stage});
    ASSERT_EQ(table.rows.size(), 1U);
    EXPECT_EQ(table.rows[0][5].text, "-") << points;
  }
  for (const Json& series : {Json(3), Json{{"x", 3}}, Json{{"x", {{"points", 1}}}}}) {
    TrialStageSummary stage{.label = "s"};
    stage.series = series;
    EXPECT_TRUE(series_table({stage}).rows.empty()) << series;
  }
}

}  // namespace
}  // namespace assay::results
