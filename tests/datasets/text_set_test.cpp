#include "datasets/text_set.h"

#include <gtest/gtest.h>

#include "datasets/reader.h"
#include "datasets/text_rules.h"
#include "tests/datasets/codecs_for_tests.h"
#include "tests/datasets/files_for_tests.h"

namespace assay::datasets {
namespace {

using Texts = std::vector<std::string>;

TEST(JoinedRows, wikitext_empties_blank_lines_and_keeps_line_feeds) {
  EXPECT_EQ(joined_rows(" \n = A = \nb\n", "wikitext"), "\n\n = A = \n\n\nb\n");
  EXPECT_EQ(joined_rows("no line feed", "wikitext"), "no line feed");
}

TEST(JoinedRows, space_and_newlines_strip_the_lines) {
  EXPECT_EQ(joined_rows(" a \nb\n", "space"), "a b");
  EXPECT_EQ(joined_rows(" a \nb\n", "newlines"), "a\n\nb");
  EXPECT_EQ(joined_rows(" a \nb\n", "file"), " a \nb\n");
  expect_error(ErrorKind::kConfig, "did you mean 'wikitext'", [] { joined_rows("", "wikitex"); });
}

TEST(CountWords, words_are_what_lies_between_white_space) {
  EXPECT_EQ(count_words(""), 0);
  EXPECT_EQ(count_words(" a  bc\n\td "), 3);
}

TEST(CountWords, words_of_a_part_are_those_that_begin_in_it) {
  const std::string text = " ab c\n";
  EXPECT_EQ(count_words(text, 0, 2), 1);
  EXPECT_EQ(count_words(text, 2, 6), 1);
  EXPECT_EQ(count_words(text, 2, 3), 0);
}

TEST(HiddenBytes, are_counted_and_told) {
  const HiddenBytes hidden = hidden_bytes({"\xef\xbb\xbf" "a\r\nb\r\n", "c\r"});
  EXPECT_EQ(hidden.carriage_returns, 3);
  EXPECT_EQ(hidden.byte_order_marks, 1);
  EXPECT_EQ(note_of(hidden),
            "the text keeps 3 carriage returns (CR LF line ends) and 1 byte-order mark (U+FEFF); "
            "they are tokens like any other");
  EXPECT_EQ(note_of(hidden_bytes({"a\n"})), "");
}

// One root lay relative to the working directory, so that a sweep found its data in one folder only.
TEST(Readers, look_in_places_that_do_not_depend_on_the_working_directory) {
  for (const ReaderDeclaration& reader : readers()) {
    for (const std::string& root : reader.roots) {
      EXPECT_TRUE(root.starts_with('/') || root.starts_with('$')) << reader.name << ": " << root;
    }
  }
}

class TextSetTest : public FolderTest {
 protected:
  Texts documents(const std::string& text, Json parameters) const {
    return open_documents({{"reader", "text"}, {"parameters", std::move(parameters)}},
                          FileSet({file(write("t", text))}));
  }
};

TEST_F(TextSetTest, a_separator_makes_documents_stripped_and_cut) {
  EXPECT_EQ(documents(" \xc3\xa9"
                      "bc \n<|e|>\n<|e|>xyz",
                      {{"separator", "<|e|>"}, {"strip", true}, {"max_characters", 2}}),
            (Texts{"\xc3\xa9"
                   "b",
                   "xy"}));
}

TEST_F(TextSetTest, a_file_without_a_rule_is_one_document_as_it_is) {
  EXPECT_EQ(documents(" a\n\n", Json::object()), (Texts{" a\n\n"}));
}

TEST_F(TextSetTest, parameters_of_another_type_are_errors) {
  expect_error(ErrorKind::kConfig, "join is 3", [&] { documents("a", {{"join", 3}}); });
  expect_error(ErrorKind::kConfig, "strip is \"yes\"", [&] { documents("a", {{"strip", "yes"}}); });
  expect_error(ErrorKind::kConfig, "max_characters is 1.5", [&] {
    documents("a", {{"max_characters", 1.5}});
  });
  expect_error(ErrorKind::kConfig, "separator goes with join: file", [&] {
    documents("a", {{"join", "space"}, {"separator", "x"}});
  });
}

class AustenTest : public FolderTest {
 protected:
  static std::string vector_of(const Texts& lines, std::uint32_t flags = 0x40009) {
    std::string bytes = "X\n" + big_endian(3) + big_endian(0x40201) + big_endian(0x30500) +
                        big_endian(5) + "UTF-8" + big_endian(16) +
                        big_endian(static_cast<std::uint32_t>(lines.size()));
    for (const std::string& line : lines) {
      bytes += big_endian(flags) + big_endian(static_cast<std::uint32_t>(line.size())) + line;
    }
    return bytes;
  }
  static std::string entry(const std::string& bytes) {
    return big_endian(static_cast<std::uint32_t>(bytes.size())) + deflated(bytes, false);
  }
  Texts open(const std::string& database, const Texts& novels) const {
    return open_documents(
        {{"reader", "austen"}, {"split", "test"}, {"parameters", {{"test", novels}}}},
        FileSet({file(write("Rdata.rdb", database))}));
  }
};

TEST_F(AustenTest, novels_are_found_by_their_titles) {
  const std::string database =
      entry(vector_of({"EMMA", "", "By"})) + entry(vector_of({"Persuasion"}));
  EXPECT_EQ(open(database, {"persuasion", "emma"}), (Texts{"Persuasion\n", "EMMA\n\nBy\n"}));
}

TEST_F(AustenTest, latin_1_lines_become_utf_8) {
  EXPECT_EQ(open(entry(vector_of({"EMMA caf\xe9"}, 0x4009)), {"emma"}),
            (Texts{"EMMA caf\xc3\xa9\n"}));
}

TEST_F(AustenTest, malformed_databases_are_errors) {
  const std::string good = vector_of({"EMMA"});
  const auto refused = [&](const std::string& piece, const std::string& database) {
    expect_error(ErrorKind::kData, piece, [&] { open(database, {"emma"}); });
  };
  refused("cut off", "ab");
  refused("damaged", big_endian(10) + "no zlib stream");
  refused("legal: up to", big_endian(0xFFFFFFFF) + deflated(good, false));
  refused("inflates to more than", big_endian(3) + deflated(good, false));
  refused("its header says", big_endian(1000) + deflated(good, false));
  refused("cut off", entry(good).substr(0, 20));
  refused("not an R serialisation", entry("A\n" + good.substr(2)));
  refused("version 7", entry("X\n" + big_endian(7) + good.substr(6)));
  refused("not a string vector", entry(good.substr(0, 23) + big_endian(13) + good.substr(27)));
  refused("cannot lie in", entry(good.substr(0, 27) + big_endian(0xFFFFFF) + good.substr(31)));
  refused("missing (NA)", entry(good.substr(0, 35) + big_endian(0xFFFFFFFF)));
  refused("cut off", entry(good.substr(0, good.size() - 1)));
  refused("is not UTF-8", entry(vector_of({"EMMA \xff"})));
  refused("title of one of", entry(vector_of({"DRACULA"})));
  refused("repeats one", entry(good) + entry(good));
}

TEST_F(AustenTest, a_novel_that_is_not_there_is_named) {
  expect_error(ErrorKind::kConfig, "no novel 'sense'",
               [&] { open(entry(vector_of({"EMMA"})), {"sense"}); });
  expect_error(ErrorKind::kConfig, "names no novel", [&] { open(entry(vector_of({"EMMA"})), {}); });
}

}  // namespace
}  // namespace assay::datasets
