#include "harness/supervise/series.h"

#include <gtest/gtest.h>

#include <cmath>

#include "harness/base/atomic_file.h"
#include "tests/support/temporary_folder.h"

namespace assay::supervise {
namespace {

TEST(Series, points_stand_by_name_in_their_order) {
  Series series;
  EXPECT_TRUE(series.empty());
  EXPECT_TRUE(series.add("loss", 50, 2.5));
  EXPECT_TRUE(series.add("rate", 50, 1e-3));
  EXPECT_TRUE(series.add("loss", 100, 2.25));
  const Json summary = series.summary();
  EXPECT_EQ(summary.at("loss").at("points"), (Json{{50, 2.5}, {100, 2.25}}));
  EXPECT_EQ(summary.at("rate").at("points"), Json::array({{50, 1e-3}}));
}

TEST(Series, points_without_a_value_are_counted_and_may_be_the_newest) {
  Series series;
  const double nan = std::nan("");
  for (const double value : {nan, 3.0, nan, -2.0, nan}) series.add("loss", 1, value);
  series.add("nothing", 1, nan);
  EXPECT_EQ(series.summary().at("loss"), (Json{{"points", {{1, 3.0}, {1, -2.0}, {1, nullptr}}},
                                               {"count", 5},
                                               {"undefined", 3},
                                               {"least", -2.0},
                                               {"greatest", 3.0}}));
  EXPECT_FALSE(series.summary().at("nothing").contains("least"));
}

TEST(Series, a_long_one_is_thinned_evenly_and_keeps_its_ends) {
  Series series;
  const std::int64_t count = 5 * static_cast<std::int64_t>(Series::kMaxPoints);
  for (std::int64_t i = 0; i < count; ++i)
    series.add("loss", i, i == 777 ? 1e6 : i == 1501 ? -5.0 : static_cast<double>(i));
  EXPECT_EQ(series.summary().at("loss").at("count"), count);
  EXPECT_EQ(series.summary().at("loss").at("greatest"), 1e6) << "though its point is not kept";
  EXPECT_EQ(series.summary().at("loss").at("least"), -5.0);
  const Json points = series.summary().at("loss").at("points");
  EXPECT_LE(points.size(), Series::kMaxPoints + 1);
  EXPECT_GE(points.size(), Series::kMaxPoints / 2);
  EXPECT_EQ(points.front(), (Json{0, 0.0}));
  EXPECT_EQ(points.back(), (Json{count - 1, static_cast<double>(count - 1)}));
  for (std::size_t i = 1; i + 1 < points.size(); ++i) {
    EXPECT_EQ(points[i][0].get<std::int64_t>() - points[i - 1][0].get<std::int64_t>(), 8);
  }
}

TEST(Series, thinning_goes_by_the_points_that_have_a_value) {
  Series series;
  for (std::int64_t i = 0; i < 5000; ++i)
    series.add("loss", i, i % 2 == 0 ? std::nan("") : static_cast<double>(i));
  const Json loss = series.summary().at("loss");
  EXPECT_EQ(loss.at("undefined"), 2500);
  EXPECT_EQ(loss.at("points").front(), (Json{1, 1.0}));
  EXPECT_GE(loss.at("points").size(), Series::kMaxPoints / 2);
}

TEST(Series, names_are_few_and_short) {
  Series series;
  EXPECT_FALSE(series.add(std::string(Series::kMaxNameBytes + 1, 'x'), 1, 1));
  for (std::size_t i = 0; i < Series::kMaxNames; ++i)
    EXPECT_TRUE(series.add(std::to_string(i), 1, 1));
  EXPECT_FALSE(series.add("one more", 1, 1));
  EXPECT_TRUE(series.add("0", 2, 2));
  EXPECT_EQ(series.summary().size(), Series::kMaxNames);
}

TEST(Series, the_next_attempt_goes_on_with_it) {
  const TemporaryFolder folder;
  Series whole, first;
  const auto last = static_cast<std::int64_t>(3 * Series::kMaxPoints);
  for (std::int64_t i = 1; i <= last; ++i) {
    whole.add("loss", i, 1.0 / static_cast<double>(i));
    if (2 * i <= last) first.add("loss", i, 1.0 / static_cast<double>(i));
  }
  first.save(folder.path());
  Series second = Series::from(folder.path());
  EXPECT_EQ(second.summary(), first.summary());
  for (std::int64_t i = last / 2 + 1; i <= last; ++i)
    second.add("loss", i, 1.0 / static_cast<double>(i));
  EXPECT_EQ(second.summary(), whole.summary());
}

TEST(Series, a_file_that_is_missing_or_damaged_is_none) {
  const TemporaryFolder folder;
  EXPECT_TRUE(Series::from(folder.path()).empty());
  for (
      const char* text :
      {"", "[1]", "{", R"({"loss": 1})", R"({"loss": {"every": 1}})",
       R"({"loss": {"every": 0, "count": 1, "undefined": 0, "least": 1, "greatest": 1, "kept": [[1, 1]],
            "newest": [1, 1]}})",
       R"({"loss": {"every": 1, "count": 1, "undefined": 0, "least": 1, "greatest": 1, "kept": [["a", 1]],
            "newest": [1, 1]}})"}) {
    write_file_atomically(folder.path() / kSeriesFile, text);
    EXPECT_TRUE(Series::from(folder.path()).empty()) << text;
  }
}

}  // namespace
}  // namespace assay::supervise
