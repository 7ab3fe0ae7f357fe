#include "harness/base/say.h"

#include <gtest/gtest.h>

namespace assay {
namespace {

TEST(harmless, text_stays_as_it_is) {
  for (const char* text : {"", "plain", "größer 漢字 😀", "a\\b"}) EXPECT_EQ(harmless(text), text);
}

TEST(harmless, a_message_cannot_forge_lines_or_move_the_cursor) {
  EXPECT_EQ(harmless("a\nfailed: b"), "a\\nfailed: b");
  EXPECT_EQ(harmless("a\rb"), "a\\rb");
  EXPECT_EQ(harmless("\x1b[2J"), "\\x1b[2J");
  EXPECT_EQ(harmless(std::string_view("\0\x7f", 2)), "\\x00\\x7f");
  EXPECT_EQ(harmless("\u009b2J"), "\\x9b2J");  // C1 in UTF-8
  EXPECT_EQ(harmless("\x9b"
                     "2J"),
            "\\x9b2J");                            // C1 as a byte
  EXPECT_EQ(harmless("\xc0\x9b[2J"), "\\xc0\\x9b[2J");  // overlong
  EXPECT_EQ(harmless("\u202eabc\u2066"), "\\u202eabc\\u2066");
}

TEST(harmless, bytes_that_are_not_utf8_are_spelled) {
  EXPECT_EQ(harmless("gr\xf6\xdf"
                     "er"),
            "gr\\xf6\\xdfer");
  EXPECT_EQ(harmless("cut \xe6\xbc"), "cut \\xe6\\xbc");
}

TEST(harmless, lines_stay_where_they_are_wanted) {
  EXPECT_EQ(harmless("a\n\tb\x1b", Layout::kLines), "a\n\tb\\x1b");
}

}  // namespace
}  // namespace assay
