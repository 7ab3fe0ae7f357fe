#include "harness/base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "harness/base/digest.h"
#include "harness/base/error.h"
#include "tests/support/refusal.h"

namespace assay {
namespace {

using assay::testing::refusal;

TEST(CanonicalJson, members_are_sorted_and_white_space_is_gone) {
  EXPECT_EQ(canonical_json(Json::parse(R"({"b": [1, true, null], "a": {"d": "x", "c": 2}})")),
            R"({"a":{"c":2,"d":"x"},"b":[1,true,null]})");
}

TEST(CanonicalJson, numbers_print_as_in_rfc_8785) {
  // Appendix B of the RFC.
  const std::vector<std::pair<double, std::string>> cases{
      {0.0, "0"},
      {-0.0, "0"},
      {5e-324, "5e-324"},
      {1.7976931348623157e308, "1.7976931348623157e+308"},
      {9007199254740992.0, "9007199254740992"},
      {295147905179352830000.0, "295147905179352830000"},
      {9.999999999999997e22, "9.999999999999997e+22"},
      {1e23, "1e+23"},
      {1e21, "1e+21"},
      {999999999999999900000.0, "999999999999999900000"},
      {1e-7, "1e-7"},
      {0.000001, "0.000001"},
      {333333333.33333329, "333333333.3333333"},
      {4.5, "4.5"},
      {-0.002, "-0.002"},
      {100.0, "100"}};
  for (const auto& [value, text] : cases) EXPECT_EQ(canonical_json(Json(value)), text);
}

TEST(CanonicalJson, keys_sort_by_utf16_code_units) {
  // U+1F600 is a surrogate pair (D83D ...), which sorts before U+FB33.
  Json value = {{"\uFB33", 1}, {"\U0001F600", 2}, {"\u20ac", 3}, {"1", 4}};
  EXPECT_EQ(canonical_json(value), "{\"1\":4,\"\u20ac\":3,\"\U0001F600\":2,\"\uFB33\":1}");
}

TEST(CanonicalJson, integers_beyond_2_to_53_and_nan_are_refused) {
  EXPECT_THROW(canonical_json(Json((std::int64_t{1} << 53) + 1)), Error);
  EXPECT_THROW(canonical_json(Json(std::numeric_limits<std::uint64_t>::max())), Error);
  EXPECT_THROW(canonical_json(Json(std::numeric_limits<double>::quiet_NaN())), Error);
  EXPECT_NO_THROW(canonical_json(Json(std::int64_t{1} << 53)));
}

TEST(ParseJson, names_the_source_and_the_byte) {
  EXPECT_THAT(refusal([] { parse_json("{\"a\": 1,, }", "x.json"); }),
              ::testing::HasSubstr("data: x.json: not valid JSON at byte 9"));
}

TEST(ParseJson, deep_nesting_is_refused) {
  EXPECT_THROW(parse_json(std::string(100000, '['), "deep"), Error);
}

TEST(ParseJson, an_error_quotes_bytes_that_are_no_utf8_as_text) {
  const std::string refused = refusal([] { parse_json("{\"a\": \"\xff\xfe\"}", "message"); });
  EXPECT_NE(refused, "no error");
  EXPECT_NO_THROW(Json(refused).dump()) << "the message could not enter a status file";
  EXPECT_THAT(refused, ::testing::Not(::testing::HasSubstr("json.exception")));
}

TEST(Sha256, known_answer) {
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace assay
