#include "harness/base/utf8.h"

#include <gtest/gtest.h>

namespace assay {
namespace {

constexpr auto kNone = std::string_view::npos;

TEST(utf8, the_first_byte_of_no_character_is_found) {
  EXPECT_EQ(find_invalid_utf8(""), kNone);
  EXPECT_EQ(find_invalid_utf8("plain, größer, 漢字, 😀"), kNone);
  EXPECT_EQ(find_invalid_utf8(std::string_view("a\0b", 3)), kNone) << "NUL is a character";
  EXPECT_EQ(find_invalid_utf8("ab\xff"), 2U);
  EXPECT_EQ(find_invalid_utf8("a\x80"), 1U) << "a continuation alone";
  EXPECT_EQ(find_invalid_utf8("a\xc0\x9b"), 1U) << "overlong";
  EXPECT_EQ(find_invalid_utf8("a\xe0\x80\xaf"), 1U) << "overlong";
  EXPECT_EQ(find_invalid_utf8("a\xed\xa0\x80"), 1U) << "a surrogate";
  EXPECT_EQ(find_invalid_utf8("a\xf4\x90\x80\x80"), 1U) << "above U+10FFFF";
  EXPECT_EQ(find_invalid_utf8("a\xe6\xbc"), 1U) << "cut short";
  EXPECT_TRUE(is_utf8("\u00e4"));
  EXPECT_FALSE(is_utf8("\xe4"));
}

TEST(utf8, what_is_none_is_replaced) {
  EXPECT_EQ(utf8_text("a\xc3\xa4\n\"\\"), "a\xc3\xa4\n\"\\");
  EXPECT_EQ(utf8_text("a\xff\xe4!"), "a\uFFFD\uFFFD!");
  EXPECT_EQ(utf8_text("a\xe6\xbc"), "a\uFFFD") << "one for a sequence that is cut short";
  EXPECT_EQ(utf8_text(""), "");
}

TEST(utf8, a_beginning_splits_no_character) {
  EXPECT_EQ(utf8_prefix("größer", 100), "größer");
  EXPECT_EQ(utf8_prefix("größer", 2), "gr");
  EXPECT_EQ(utf8_prefix("größer", 3), "gr");
  EXPECT_EQ(utf8_prefix("größer", 4), "grö");
  EXPECT_EQ(utf8_prefix("\x80\x80", 1), "");
}

TEST(utf8, characters_are_counted) {
  EXPECT_EQ(utf8_length("größer 漢"), 8U);
  EXPECT_EQ(utf8_first("größer", 0), "");
  EXPECT_EQ(utf8_first("größer", 3), "grö");
  EXPECT_EQ(utf8_first("größer", 9), "größer");
}

}  // namespace
}  // namespace assay
