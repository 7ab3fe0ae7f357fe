#include "results/board/series.h"

#include <gtest/gtest.h>

namespace assay::results {
namespace {

TEST(Sparkline, spans_the_range_of_the_means) {
  EXPECT_EQ(sparkline({4, 2, 1}, 3), "█▃▁");
  EXPECT_EQ(sparkline({0, 1, 2, 3, 4, 5, 6, 7}, 99), "▁▂▃▄▅▆▇█");
  EXPECT_EQ(sparkline({8, 8, 1, 1}, 2), "█▁");
  EXPECT_EQ(sparkline({3, 3, 3}, 5), "▁▁▁");
  EXPECT_EQ(sparkline({-1e308, 1e308}, 2), "▁▁") << "a range beyond a double is drawn flat";
  EXPECT_EQ(sparkline({}, 5), "");
}

TEST(SeriesTable, has_a_row_a_series) {
  TrialStageSummary train{.label = "train vit",
                          .series = {{"loss", {{50, 2.5}, {100, 0.5}, {150, 1}}}}};
  TrialStageSummary other{.label = "evaluate"};
  const Table table = series_table({train, other});
  ASSERT_EQ(table.rows.size(), 1U);
  std::vector<std::string> texts;
  for (const Cell& cell : table.rows[0]) texts.push_back(cell.text);
  EXPECT_EQ(texts, (std::vector<std::string>{"train vit", "loss", "3", "2.5000", "0.5000", "2.5000",
                                             "1.0000", "150", "█▁▃"}));
  EXPECT_EQ(table.rows[0].back().value, train.series["loss"]) << "programs get the points";
}

TEST(SeriesTable, what_another_hand_wrote_is_passed_over) {
  for (const char* series : {"1", "[]", "[[1]]", "[[1, null]]", R"([["a", 1]])", "[[1.5, 1]]"}) {
    TrialStageSummary stage{.label = "s", .series = {{"x", Json::parse(series)}}};
    EXPECT_TRUE(series_table({stage}).rows.empty()) << series;
  }
  EXPECT_TRUE(series_table({TrialStageSummary{.series = Json(3)}}).rows.empty());
}

}  // namespace
}  // namespace assay::results
