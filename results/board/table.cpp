#include "results/board/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "harness/base/error.h"
#include "harness/base/say.h"
#include "harness/base/suggest.h"
#include "harness/base/utf8.h"

namespace assay::results {
namespace {

constexpr std::array<std::pair<std::string_view, Format>, 6> kFormats = {{{"text", Format::kText},
                                                                          {"md", Format::kMarkdown},
                                                                          {"csv", Format::kCsv},
                                                                          {"json", Format::kJson},
                                                                          {"latex", Format::kLatex},
                                                                          {"html", Format::kHtml}}};

std::string padded(const std::string& text, std::size_t width, bool right) {
  const std::string space(width - std::min(width, utf8_length(text)), ' ');
  return right ? space + text : text + space;
}

// Control characters of messages and names must not reach a terminal, nor marks that turn the
// direction of writing.
std::string printable(const std::string& text) {
  std::string out;
  for (const char c : text) {
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  }
  return harmless(out);
}

void trim_right(std::string& line) { line.erase(line.find_last_not_of(' ') + 1); }

// Whether a row begins another group than that of the row before it.
bool starts_group(const Table& table, std::size_t row) {
  return table.grouped_by && row > 0 &&
         table.rows[row][*table.grouped_by].text != table.rows[row - 1][*table.grouped_by].text;
}

std::string as_text(const Table& table, bool colour) {
  std::vector<std::string> names;
  std::vector<std::size_t> widths;
  for (const Column& column : table.columns) {
    names.push_back(printable(column.name));
    widths.push_back(utf8_length(names.back()));
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& row : table.rows) {
    std::vector<std::string>& texts = rows.emplace_back();
    for (std::size_t i = 0; i < row.size(); ++i) {
      texts.push_back(printable(row[i].text));
      widths[i] = std::max(widths[i], utf8_length(texts.back()));
    }
  }
  std::string out;
  if (!table.title.empty()) {
    out += colour ? fmt::format("\x1b[1m{}\x1b[0m\n", printable(table.title))
                  : printable(table.title) + "\n";
  }
  const auto line = [&](const std::vector<std::string>& texts) {
    std::string text;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      text += (i == 0 ? "" : "  ") + padded(texts[i], widths[i], table.columns[i].numeric);
    }
    trim_right(text);
    out += text + "\n";
  };
  std::vector<std::string> dashes;
  for (const std::size_t width : widths) dashes.emplace_back(width, '-');
  line(names);
  line(dashes);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    if (starts_group(table, row)) line(dashes);
    line(rows[row]);
  }
  for (const std::string& note : table.notes) out += printable(note) + "\n";
  return out;
}

std::string replaced(const std::string& text,
                     const std::vector<std::pair<char, std::string_view>>& replacements) {
  std::string out;
  for (const char c : printable(text)) {
    const auto found = std::find_if(replacements.begin(), replacements.end(),
                                    [c](const auto& pair) { return pair.first == c; });
    if (found == replacements.end()) {
      out += c;
    } else {
      out += found->second;
    }
  }
  return out;
}

std::string escaped_markdown(const std::string& text) {
  return replaced(text, {{'|', "\\|"}, {'*', "\\*"}, {'<', "&lt;"}});
}

std::string escaped_html(const std::string& text) {
  return replaced(text, {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}});
}

// Bars of a sparkline are no characters of LaTeX's fonts.
std::string without_bars(std::string_view text) {
  std::string out(text);
  for (std::size_t at = 0; (at = out.find("\xE2\x96", at)) != std::string::npos;) out.erase(at, 3);
  return out;
}

std::string escaped_latex(const std::string& text) {
  return replaced(without_bars(text), {{'&', "\\&"},
                                       {'%', "\\%"},
                                       {'$', "\\$"},
                                       {'#', "\\#"},
                                       {'_', "\\_"},
                                       {'{', "\\{"},
                                       {'}', "\\}"},
                                       {'~', "\\textasciitilde{}"},
                                       {'^', "\\textasciicircum{}"},
                                       {'\\', "\\textbackslash{}"}});
}

std::string as_markdown(const Table& table) {
  std::string out = table.title.empty() ? "" : "### " + escaped_markdown(table.title) + "\n\n";
  std::string rule;
  for (const Column& column : table.columns) {
    out += "| " + escaped_markdown(column.name) + " ";
    rule += column.numeric ? "|---:" : "|---";
  }
  out += "|\n" + rule + "|\n";
  for (const auto& row : table.rows) {
    for (const Cell& cell : row) out += "| " + escaped_markdown(cell.text) + " ";
    out += "|\n";
  }
  for (const std::string& note : table.notes) out += "\n" + escaped_markdown(note) + "\n";
  return out;
}

std::string as_csv(const Table& table) {
  std::string out = table.title.empty() ? "" : "table,";
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    out += (i == 0 ? "" : ",") + csv_field(table.columns[i].name);
  }
  out += "\n";
  for (const auto& row : table.rows) {
    if (!table.title.empty()) out += csv_field(table.title) + ",";
    for (std::size_t i = 0; i < row.size(); ++i) {
      const Json& value = row[i].value;
      if (i != 0) out += ",";
      if (value.is_null()) continue;
      if (value.is_number_float()) {
        out += exact_number(value.get<double>());
      } else {
        out += csv_field(value.is_string() ? printable(value.get<std::string>()) : value.dump());
      }
    }
    out += "\n";
  }
  return out;
}

Json as_json(const Table& table) {
  Json rows = Json::array();
  for (const auto& row : table.rows) {
    Json object = Json::object();
    for (std::size_t i = 0; i < row.size(); ++i) object[table.columns[i].name] = row[i].value;
    rows.push_back(std::move(object));
  }
  return {{"title", table.title}, {"rows", rows}, {"notes", table.notes}};
}

std::string as_latex(const Table& table) {
  std::string out = "\\begin{tabular}{";
  for (const Column& column : table.columns) out += column.numeric ? 'r' : 'l';
  out += "}\n\\hline\n";
  const auto line = [&](const auto& text_of) {
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      out += (i == 0 ? "" : " & ") + escaped_latex(text_of(i));
    }
    out += " \\\\\n";
  };
  line([&](std::size_t i) { return table.columns[i].name; });
  out += "\\hline\n";
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    if (starts_group(table, row)) out += "\\hline\n";
    line([&](std::size_t i) { return table.rows[row][i].text; });
  }
  out += "\\hline\n\\end{tabular}\n";
  if (!table.title.empty()) out += "% " + printable(table.title) + "\n";
  for (const std::string& note : table.notes) out += "% " + printable(note) + "\n";
  return out;
}

std::string as_html(const Table& table) {
  std::string out = "<table>\n";
  if (!table.title.empty()) out += "<caption>" + escaped_html(table.title) + "</caption>\n";
  out += "<thead><tr>";
  for (const Column& column : table.columns) out += "<th>" + escaped_html(column.name) + "</th>";
  out += "</tr></thead>\n<tbody>\n";
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    if (starts_group(table, row)) out += "</tbody>\n<tbody>\n";
    out += "<tr>";
    for (const Cell& cell : table.rows[row]) out += "<td>" + escaped_html(cell.text) + "</td>";
    out += "</tr>\n";
  }
  out += "</tbody>\n</table>\n";
  for (const std::string& note : table.notes) out += "<p>" + escaped_html(note) + "</p>\n";
  return out;
}

std::string rendered(const Table& table, const Style& style) {
  switch (style.format) {
    case Format::kMarkdown:
      return as_markdown(table);
    case Format::kCsv:
      return as_csv(table);
    case Format::kLatex:
      return as_latex(table);
    case Format::kHtml:
      return as_html(table);
    default:
      return as_text(table, style.colour);
  }
}

}  // namespace

Cell text_cell(std::string text) {
  Json value = text;
  return {std::move(text), std::move(value)};
}

Cell number_cell(double value, int decimals) {
  constexpr double kHuge = 1e12;
  const double shown = std::fabs(value);
  // Losses and the like (three decimals and more) have two digits at least, percentages and
  // seconds one.
  const double digits = std::pow(10, -decimals) * (decimals >= 3 ? 10 : 0.5);
  const bool hidden = shown < digits && shown > 0;
  return {hidden || shown >= kHuge ? fmt::format("{:.3g}", value)
                                   : fmt::format("{:.{}f}", value, decimals),
          value};
}

Cell difference_cell(double difference, double size, int decimals) {
  constexpr double kLastBits = 1e-12;
  const Cell shown =
      number_cell(std::fabs(difference) <= kLastBits * size ? 0 : difference, decimals);
  return {shown.text, difference};
}

Cell count_cell(std::int64_t value) { return {std::to_string(value), value}; }

Cell empty_cell() { return {"-", nullptr}; }

Format format_from(std::string_view name) {
  std::vector<std::string> legal;
  for (const auto& [text, format] : kFormats) {
    if (text == name) return format;
    legal.emplace_back(text);
  }
  throw Error(ErrorKind::kConfig,
              fmt::format("unknown format '{}'{}", name, suggestion(name, legal)));
}

std::string render(const std::vector<Table>& tables, const Style& style) {
  if (style.format == Format::kJson) {
    Json list = Json::array();
    for (const Table& table : tables) list.push_back(as_json(table));
    return list.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  }
  std::string out;
  for (const Table& table : tables) {
    if (!out.empty()) out += "\n";
    out += rendered(table, style);
  }
  return out;
}

std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string exact_number(double value) { return fmt::format("{}", value); }

}  // namespace assay::results
