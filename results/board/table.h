#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/json.h"

namespace assay::results {

// What every command that prints rows makes: one value, rendered in any format.

struct Cell {
  std::string text;  // as people read it
  Json value;        // as programs read it
};

Cell text_cell(std::string text);
// Of a value that is not 0 and would show none of its digits, three of them: 1.5e-07.
Cell number_cell(double value, int decimals);
// Of a difference between figures of this size: one of their last bits is 0.
Cell difference_cell(double difference, double size, int decimals);
Cell count_cell(std::int64_t value);
Cell empty_cell();  // shown "-", null to programs

struct Column {
  std::string name;
  bool numeric = false;  // right-aligned
};

struct Table {
  std::string title;
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;
  // Rows that are equal in this column belong together: text, LaTeX and HTML rule between groups.
  std::optional<std::size_t> grouped_by = {};
  std::vector<std::string> notes;  // lines below it; not in CSV
};

enum class Format { kText, kMarkdown, kCsv, kJson, kLatex, kHtml };

// "text", "md", "csv", "json", "latex", "html". Throws Error(kConfig) for another name.
Format format_from(std::string_view name);

struct Style {
  Format format = Format::kText;
  bool colour = false;  // bold titles in text
};

// CSV: RFC 4180, one header, the title as column `table`; between several tables an empty line.
// JSON: a list of {"title", "rows": [{column: value}], "notes": [text]}. LaTeX: title and notes are
// comments. Ends with a newline.
std::string render(const std::vector<Table>& tables, const Style& style);

std::string csv_field(std::string_view text);
// Shortest text that reads back as the same double.
std::string exact_number(double value);

}  // namespace assay::results
