#include "results/board/table.h"

#include <gtest/gtest.h>

#include "harness/base/error.h"

namespace assay::results {
namespace {

Table sample_table() {
  return {.title = "T",
          .columns = {{"name"}, {"x", true}},
          .rows = {{text_cell("a|b_c"), number_cell(1.5, 2)}, {text_cell("\u00e9"), empty_cell()}},
          .notes = {"note"}};
}

TEST(table, text_is_aligned_without_boxes_or_trailing_space) {
  EXPECT_EQ(render({sample_table()}, {}),
            "T\nname      x\n-----  ----\na|b_c  1.50\n\u00e9         -\nnote\n");
}

TEST(table, groups_are_ruled_off) {
  Table table = sample_table();
  table.rows = {{text_cell("a"), empty_cell()},
                {text_cell("a"), empty_cell()},
                {text_cell("b"), empty_cell()}};
  table.notes.clear();
  table.grouped_by = 0;
  EXPECT_EQ(render({table}, {}), "T\nname  x\n----  -\na     -\na     -\n----  -\nb     -\n");
}

TEST(table, markdown_escapes_its_own_marks) {
  EXPECT_EQ(render({sample_table()}, {.format = Format::kMarkdown}),
            "### T\n\n| name | x |\n|---|---:|\n| a\\|b_c | 1.50 |\n| \u00e9 | - |\n\nnote\n");
}

TEST(table, csv_and_json_carry_values_not_texts) {
  EXPECT_EQ(render({sample_table()}, {.format = Format::kCsv}),
            "table,name,x\nT,a|b_c,1.5\nT,\u00e9,\n");
  const Json json = Json::parse(render({sample_table()}, {.format = Format::kJson}));
  EXPECT_EQ(json[0]["rows"][0]["x"], 1.5);
  EXPECT_TRUE(json[0]["rows"][1]["x"].is_null());
  EXPECT_EQ(json[0]["notes"], Json({"note"}));
}

TEST(table, latex_and_html_escape) {
  EXPECT_NE(render({sample_table()}, {.format = Format::kLatex}).find("a|b\\_c & 1.50 \\\\"),
            std::string::npos);
  Table evil = sample_table();
  evil.rows[0][0] = text_cell("<script>");
  EXPECT_EQ(render({evil}, {.format = Format::kHtml}).find("<script>"), std::string::npos);
}

TEST(table, control_characters_never_reach_a_terminal) {
  Table evil = sample_table();
  evil.rows[0][0] = text_cell("\x1b[31mred\n");
  EXPECT_EQ(render({evil}, {}).find('\x1b'), std::string::npos);
}

TEST(table, every_format_spells_what_turns_the_direction_of_writing) {
  Table evil = sample_table();
  evil.rows[0][0] = text_cell("abc\u202edef\x1b[2J");
  evil.notes = {"note\u202e"};
  for (const Format format :
       {Format::kText, Format::kMarkdown, Format::kCsv, Format::kLatex, Format::kHtml}) {
    const std::string text = render({evil}, {.format = format});
    EXPECT_EQ(text.find("\u202e"), std::string::npos) << text;
    EXPECT_EQ(text.find('\x1b'), std::string::npos) << text;
  }
}

TEST(table, columns_are_as_wide_as_what_they_show) {
  Table table = sample_table();
  table.rows = {{text_cell("\u202e"), empty_cell()}};
  table.notes.clear();
  EXPECT_EQ(render({table}, {}), "T\nname    x\n------  -\n\\u202e  -\n");
}

TEST(table, numbers_show_their_digits_however_small) {
  EXPECT_EQ(number_cell(7e-301, 3).text, "7e-301");
  EXPECT_EQ(number_cell(0, 3).text, "0.000");
  EXPECT_EQ(difference_cell(1e-9, 2e-9, 3).text, "1e-09");
  EXPECT_EQ(difference_cell(1e-16, 2, 3).text, "0.000");
  EXPECT_EQ(difference_cell(1e-16, 2, 3).value, 1e-16);
}

TEST(table, an_unknown_format_names_the_legal_ones) { EXPECT_THROW(format_from("xml"), Error); }

}  // namespace
}  // namespace assay::results
