#include "harness/spec/expression.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/support/refusal.h"

namespace assay::spec {
namespace {

using assay::testing::refusal;
using ::testing::HasSubstr;

const std::map<std::string, Json> kPoint{{"model", "vit"},   {"seed", 2},   {"rate", 0.5},
                                         {"swing", true},    {"group", -1}, {"images", nullptr},
                                         {"gptq.group", 128}};

Expression parse(const std::string& text) {
  std::vector<std::string> names;
  for (const auto& [name, value] : kPoint) names.push_back(name);
  Place place;
  place.file = std::make_shared<const std::string>("where");
  return Expression(text, place, names);
}

bool holds(const std::string& text) {
  const Expression expression = parse(text);
  return expression.holds([&](std::size_t i) { return kPoint.at(expression.names()[i]); });
}

std::string expression_error(const std::string& text) {
  return refusal([&] { holds(text); });
}

TEST(Expression, compares_texts_and_numbers) {
  for (const char* text :
       {"model == 'vit'", "model != \"opt\"", "seed == 2", "seed == 2.0", "seed < 3", "seed <= 2",
        "seed > 1", "seed >= 2", "rate == 0.5", "rate < 1", "group == -1", "1 < seed", "2 == seed",
        "model < 'w'", "gptq.group == 128", "rate > 1e-3"}) {
    EXPECT_TRUE(holds(text)) << text;
  }
  for (const char* text : {"model == 'opt'", "seed != 2", "seed < 2", "seed > 2", "rate >= 1"}) {
    EXPECT_FALSE(holds(text)) << text;
  }
}

TEST(Expression, and_binds_closer_than_or_and_not_closest) {
  EXPECT_TRUE(holds("seed == 2 or seed == 3 and model == 'opt'"));
  EXPECT_FALSE(holds("(seed == 2 or seed == 3) and model == 'opt'"));
  EXPECT_TRUE(holds("not seed == 3 and model == 'vit'"));
  EXPECT_FALSE(holds("not (seed == 2 and model == 'vit')"));
  EXPECT_TRUE(holds("not not swing"));
}

TEST(Expression, looks_into_lists) {
  EXPECT_TRUE(holds("seed in [1, 2, 3]"));
  EXPECT_TRUE(holds("seed in (1, 2)"));
  EXPECT_TRUE(holds("seed not in [3]"));
  EXPECT_TRUE(holds("model in ['opt', 'vit']"));
  EXPECT_FALSE(holds("seed in []"));
}

TEST(Expression, truth_values_stand_alone) {
  EXPECT_TRUE(holds("swing"));
  EXPECT_TRUE(holds("swing == true"));
  EXPECT_FALSE(holds("not swing"));
  EXPECT_FALSE(holds("false"));
}

TEST(Expression, what_a_trial_does_not_have_is_none) {
  EXPECT_TRUE(holds("images == none"));
  EXPECT_TRUE(holds("images != 3"));
  EXPECT_FALSE(holds("images == 3"));
  EXPECT_FALSE(holds("images < 3"));
  EXPECT_FALSE(holds("images >= 3"));
  EXPECT_FALSE(holds("images in [1, 2]"));
  EXPECT_FALSE(holds("images"));
  EXPECT_FALSE(holds("seed == none"));
}

TEST(Expression, types_that_do_not_compare_are_an_error) {
  EXPECT_THAT(expression_error("seed == 'vit'"), HasSubstr("2 is a number, \"vit\" is text"));
  EXPECT_THAT(expression_error("model < 3"), HasSubstr("they do not compare"));
  EXPECT_THAT(expression_error("swing == 1"), HasSubstr("they do not compare"));
  EXPECT_THAT(expression_error("seed in [1, 'x', 2]"), HasSubstr("they do not compare"));
  EXPECT_THAT(expression_error("seed"), HasSubstr("compare it with something"));
}

TEST(Expression, says_where_it_is_malformed) {
  const std::vector<std::pair<const char*, const char*>> kMalformed{
      {"", "an empty expression (character 1"},
      {"seed ==", "ends too early (character 8"},
      {"== 2", "expected a name or a value, not '==' (character 1"},
      {"seed == 2 seed", "expected 'and', 'or' or the end, not 'seed' (character 11"},
      {"seed in 2", "expected a list after 'in'"},
      {"seed in [1 2]", "expected ',' or ']' (character 12"},
      {"seed in [1, 2", "expected ',' or ']' (character 14"},
      {"seed not 2", "expected 'in' after 'not'"},
      {"(seed == 2", "expected ')' (character 11"},
      {"seed == 2)", "not ')' (character 10"},
      {"seed == 2 and", "ends too early (character 14"},
      {"and seed == 2", "not 'and' (character 1"},
      {"seed === 2", "is not part of the language"},
      {"seed + 1 == 3", "is not part of the language"},
      {"seed == 1.2.3", "'1.2.3' is not a number"},
      {"'vit'", "expected a comparison"},
      {"model == 'vit", "a quote that is never closed (character 10"},
      {"sead == 2", "unknown name 'sead'; did you mean 'seed'?"},
      {"seed; drop", "';' is not part of the language"}};
  for (const auto& [text, problem] : kMalformed) {
    EXPECT_THAT(expression_error(text), HasSubstr(problem)) << text;
  }
}

TEST(Expression, hostile_depth_and_length_are_refused) {
  EXPECT_THAT(expression_error(std::string(1'000, '(') + "swing"), HasSubstr("deeper than 40"));
  std::string nots;
  for (int i = 0; i < 1'000; ++i) nots += "not ";
  EXPECT_THAT(expression_error(nots + "swing"), HasSubstr("deeper than 40"));
  EXPECT_THAT(expression_error(std::string(20'000, ' ')), HasSubstr("at most 10000"));
  std::string chain = "swing";
  for (int i = 0; i < 900; ++i) chain += " and swing";
  EXPECT_TRUE(holds(chain));
}

}  // namespace
}  // namespace assay::spec
