#include "harness/supervise/series.h"

#include <gtest/gtest.h>

#include "harness/core/atomic_file.h"
#include "tests/harness/supervise/temporary_folder.h"

namespace assay::supervise {
namespace {

TEST(Series, points_stand_by_name_in_their_order) {
  Series series;
  EXPECT_TRUE(series.empty());
  EXPECT_TRUE(series.add("loss", 50, 2.5));
  EXPECT_TRUE(series.add("rate", 50, 1e-3));
  EXPECT_TRUE(series.add("loss", 100, 2.25));
  EXPECT_EQ(series.points(),
            (Json{{"loss", {{50, 2.5}, {100, 2.25}}}, {"rate", Json::array({{50, 1e-3}})}}));
}

TEST(Series, a_long_one_is_thinned_evenly_and_keeps_its_ends) {
  Series series;
  const std::int64_t count = 5 * static_cast<std::int64_t>(Series::kMaxPoints);
  for (std::int64_t i = 0; i < count; ++i) series.add("loss", i, static_cast<double>(i));
  const Json points = series.points().at("loss");
  EXPECT_LE(points.size(), Series::kMaxPoints + 1);
  EXPECT_GE(points.size(), Series::kMaxPoints / 2);
  EXPECT_EQ(points.front(), (Json{0, 0.0}));
  EXPECT_EQ(points.back(), (Json{count - 1, static_cast<double>(count - 1)}));
  for (std::size_t i = 1; i + 1 < points.size(); ++i) {
    EXPECT_EQ(points[i][0].get<std::int64_t>() - points[i - 1][0].get<std::int64_t>(), 8);
  }
}

TEST(Series, names_are_few_and_short) {
  Series series;
  EXPECT_FALSE(series.add(std::string(Series::kMaxNameBytes + 1, 'x'), 1, 1));
  for (std::size_t i = 0; i < Series::kMaxNames; ++i)
    EXPECT_TRUE(series.add(std::to_string(i), 1, 1));
  EXPECT_FALSE(series.add("one more", 1, 1));
  EXPECT_TRUE(series.add("0", 2, 2));
  EXPECT_EQ(series.points().size(), Series::kMaxNames);
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
  EXPECT_EQ(second.points(), first.points());
  for (std::int64_t i = last / 2 + 1; i <= last; ++i)
    second.add("loss", i, 1.0 / static_cast<double>(i));
  EXPECT_EQ(second.points(), whole.points());
}

TEST(Series, a_file_that_is_missing_or_damaged_is_none) {
  const TemporaryFolder folder;
  EXPECT_TRUE(Series::from(folder.path()).empty());
  for (const char* text :
       {"", "[]", "{", R"({"loss": 1})", R"({"loss": {"every": 1}})",
        R"({"loss": {"every": 0, "seen": 1, "kept": [[1, 1]], "newest": [1, 1]}})",
        R"({"loss": {"every": 1, "seen": 1, "kept": [["a", 1]], "newest": [1, 1]}})"}) {
    write_file_atomically(folder.path() / kSeriesFile, text);
    EXPECT_TRUE(Series::from(folder.path()).empty()) << text;
  }
}

}  // namespace
}  // namespace assay::supervise
