#include "datasets/normalizer.h"

#include <gtest/gtest.h>

#include <random>

#include "harness/base/utf8.h"
#include "tests/datasets/files_for_tests.h"

namespace assay::datasets {
namespace {

std::vector<std::size_t> ends_of(const AlignedText& text) {
  std::vector<std::size_t> ends;
  for (std::size_t i = 1; i <= text.text().size(); ++i) ends.push_back(text.original(i));
  return ends;
}
using Ends = std::vector<std::size_t>;

TEST(AlignedText, knows_how_far_the_original_is_used_up) {
  const AlignedText text("abcd", 10);
  EXPECT_EQ(ends_of(text), (Ends{11, 12, 13, 14}));
  const AlignedText changed = replaced(text, "bc", "xyz");
  EXPECT_EQ(changed.text(), "axyzd");
  EXPECT_EQ(ends_of(changed), (Ends{11, 11, 11, 13, 14}));
  EXPECT_EQ(ends_of(changed.part(2, 5)), (Ends{11, 13, 14}));
  const AlignedText longer = prepended(changed, "__");
  EXPECT_EQ(longer.text(), "__axyzd");
  EXPECT_EQ(ends_of(longer), (Ends{10, 10, 11, 11, 11, 13, 14}));
  const AlignedText shorter = replaced(text, "b", "");
  EXPECT_EQ(shorter.text(), "acd");
  EXPECT_EQ(ends_of(shorter), (Ends{11, 13, 14}));
}

TEST(UnicodeForm, what_a_form_changes_has_the_bytes_of_the_original) {
  // e and a combining acute accent, then a letter that stays.
  const AlignedText text = in_form(AlignedText("xe\xcc\x81y"), UnicodeForm::kNfc);
  EXPECT_EQ(text.text(), "x\xc3\xa9y");
  EXPECT_EQ(ends_of(text), (Ends{1, 1, 4, 5}));
  EXPECT_EQ(in_form("\xc3\xa9", UnicodeForm::kNfd), "e\xcc\x81");
  EXPECT_EQ(in_form("\xef\xac\x81", UnicodeForm::kNfkc), "fi");
  EXPECT_EQ(in_form("\xef\xac\x81", UnicodeForm::kNfc), "\xef\xac\x81");
  EXPECT_EQ(in_form(std::string_view("a\0b", 3), UnicodeForm::kNfkd).size(), 3u);
}

constexpr UnicodeForm kForms[] = {UnicodeForm::kNfc, UnicodeForm::kNfd, UnicodeForm::kNfkc,
                                  UnicodeForm::kNfkd};

// Every character that decomposes, cluster by cluster and whole.
TEST(UnicodeForm, of_a_cluster_does_not_depend_on_its_neighbours) {
  for (char32_t value = 0x80; value < 0x30000; ++value) {
    if (value >= 0xD800 && value < 0xE000) continue;
    std::string text;
    append_utf8(text, value);
    const std::string apart = in_form(text, UnicodeForm::kNfd);
    if (apart == text) continue;
    for (const UnicodeForm form : kForms) {
      ASSERT_EQ(in_form(AlignedText(apart), form).text(), in_form(apart, form)) << static_cast<unsigned>(value);
    }
  }
}

TEST(UnicodeForm, of_random_texts_is_that_of_their_clusters) {
  std::mt19937 random(5);
  const char32_t blocks[] = {0x20, 0x41, 0xC0, 0x300, 0x327, 0x1100, 0x1161, 0x11A8, 0xAC00, 0x9BE,
                             0x9C7, 0xDD8, 0x1B05, 0x1100, 0x3041, 0x3099, 0xFB00, 0x1F600, 0x200D};
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (int i = 0; i < 12; ++i) {
      append_utf8(text, blocks[random() % std::size(blocks)] + static_cast<char32_t>(random() % 24));
    }
    for (const UnicodeForm form : kForms) {
      const AlignedText aligned = in_form(AlignedText(text), form);
      ASSERT_EQ(aligned.text(), in_form(text, form)) << text;
      ASSERT_EQ(aligned.original(aligned.text().size()), text.size());
    }
  }
}

TEST(Normalizer, steps_follow_each_other) {
  const Normalizer normalizer(
      {{"type", "Sequence"},
       {"normalizers",
        {{{"type", "NFKC"}},
         {{"type", "Prepend"}, {"prepend", "_"}},
         {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "_"}}}}},
      "test");
  const AlignedText text = normalizer(AlignedText("\xef\xac\x81 x"));
  EXPECT_EQ(text.text(), "_fi_x");
  EXPECT_EQ(ends_of(text), (Ends{0, 0, 3, 4, 5}));
  EXPECT_EQ(normalizer(AlignedText("")).text(), "");
}

}  // namespace
}  // namespace assay::datasets
