#include "harness/spec/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"

namespace assay::spec {
namespace {

using assay::testing::refusal;
using ::testing::HasSubstr;

Json json_of(const std::string& text) { return to_json(parse_yaml(text, "a.yaml")); }

std::string yaml_error(const std::string& text, const YamlLimits& limits = {}) {
  return refusal([&] { parse_yaml(text, "a.yaml", limits); });
}

TEST(Yaml, scalars_are_typed_by_the_core_schema) {
  EXPECT_EQ(
      json_of("[1, -2, 0x1f, 0o17, 1.5, 1e-3, .5, true, False, null, ~, yes, W4A8]"),
      Json::parse(R"([1, -2, 31, 15, 1.5, 0.001, 0.5, true, false, null, null, "yes", "W4A8"])"));
}

TEST(Yaml, quoted_scalars_are_texts) {
  EXPECT_EQ(json_of("{a: \"1\", b: 'true', c: !!str 2, d: ''}"),
            Json::parse(R"({"a": "1", "b": "true", "c": "2", "d": ""})"));
}

TEST(Yaml, words_that_only_look_like_numbers_are_texts) {
  EXPECT_EQ(json_of("[1h30m, 20%, -, 1_000, .inf, .nan, nan, 1.2.3, e5]"),
            Json::parse(R"(["1h30m", "20%", "-", "1_000", ".inf", ".nan", "nan", "1.2.3", "e5"])"));
}

TEST(Yaml, aliases_are_expanded_where_they_stand) {
  EXPECT_EQ(json_of("a: &x [1, 2]\nb: *x\n"), Json::parse(R"({"a": [1, 2], "b": [1, 2]})"));
}

TEST(Yaml, merge_keys_lay_maps_under_their_own) {
  EXPECT_EQ(json_of("a: &a {x: 1, y: 2}\nb: {y: 3, <<: *a, z: 4}\n")["b"],
            Json::parse(R"({"x": 1, "y": 3, "z": 4})"));
  EXPECT_EQ(json_of("a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b]}\n")["c"],
            Json::parse(R"({"x": 1, "y": 1, "z": 2})"))
      << "the first of a list wins";
  EXPECT_EQ(json_of("a: &a {x: 1}\nb: &b {<<: *a, y: 2}\nc: {<<: *b, x: 3}\n")["c"],
            Json::parse(R"({"x": 3, "y": 2})"));
  EXPECT_EQ(json_of("a: {'<<': 1}")["a"], Json::parse(R"({"<<": 1})")) << "in quotes it is a text";
  const Node root = parse_yaml("a: &a {x: 1, y: 2}\nb: {z: 3, <<: *a}\n", "a.yaml");
  EXPECT_EQ(root.find("b")->members[0].key, "x") << "merged keys come first, in their order";
  EXPECT_EQ(root.find("b")->members[0].place.text(), "a.yaml:1:8");
}

TEST(Yaml, merge_keys_over_anything_but_maps_are_refused) {
  EXPECT_EQ(
      yaml_error("a: {<<: 3}"),
      "config: a.yaml:1:9: '<<' merges a map ('<<: *name') or a list of maps ('<<: [*a, *b]'), not "
      "'3'");
  EXPECT_EQ(yaml_error("a: &a [1]\nb: {<<: [*a]}"),
            "config: a.yaml:2:10: '<<' merges a map ('<<: *name') or a list of maps ('<<: [*a, "
            "*b]'), not a list");
  EXPECT_THAT(yaml_error("a: &a {x: 1}\nb: {<<: *a, <<: *a}"),
              HasSubstr("key '<<' stands twice in this map; several maps are merged by a list"));
  EXPECT_THAT(yaml_error("b: {<<: *a}"), HasSubstr("a.yaml:1:"));
}

TEST(Yaml, places_count_from_one) {
  const Node root = parse_yaml("a:\n  b: [x, y]\n", "a.yaml");
  EXPECT_EQ(root.find("a")->find("b")->items[1].place.text(), "a.yaml:2:10");
  EXPECT_EQ(root.find("a")->members[0].place.text(), "a.yaml:2:3");
}

TEST(Yaml, a_byte_order_mark_is_skipped) {
  EXPECT_EQ(json_of("\xEF\xBB\xBF"
                    "a: 1"),
            Json::parse(R"({"a": 1})"));
}

TEST(Yaml, a_bomb_of_aliases_is_refused_before_it_grows) {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string below = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + below;
    for (int k = 1; k < 10; ++k) text += ", " + below;
    text += "]\n";
  }
  EXPECT_THAT(yaml_error(text), HasSubstr("more than 200000 values"));
}

TEST(Yaml, deep_nesting_is_refused) {
  EXPECT_THAT(yaml_error(std::string(100, '[') + std::string(100, ']')),
              HasSubstr("a.yaml:1:41: nested deeper than 40 levels"));
  EXPECT_THAT(yaml_error(std::string(100'000, '[')), HasSubstr("a.yaml:1:"));
}

TEST(Yaml, aliases_do_not_get_around_the_depth) {
  std::string text = "a: &a [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]\nb: ";
  text += "[[[[[[[[[[[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]]]]]]]]]]\n";
  EXPECT_THAT(yaml_error(text), HasSubstr("a.yaml:2:28: nested deeper than 40 levels"));
}

TEST(Yaml, large_files_and_many_values_are_refused) {
  EXPECT_THAT(yaml_error(std::string(5 << 20, ' ')), HasSubstr("a sweep file has at most 4194304"));
  EXPECT_THAT(yaml_error("[1, 2, 3, 4]", {.max_nodes = 4}), HasSubstr("a.yaml:1:11: more than 4"));
}

TEST(Yaml, emitted_text_parses_to_the_same_values) {
  const std::string text =
      "a: {b: [1, '1', \"x: y\", ~], c: {}}\nd: []\n'e f + g': [{h: 'true'}, 10m, 20%]\n"
      "where: \"model == 'vit' and not (seed in [1, 2])\"\n";
  const Node root = parse_yaml(text, "a.yaml");
  EXPECT_EQ(to_json(parse_yaml(emit_yaml(root), "b.yaml")), to_json(root));
}

}  // namespace
}  // namespace assay::spec
