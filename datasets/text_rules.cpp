#include "datasets/text_rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "datasets/utf8.h"
#include "harness/core/error.h"
#include "harness/core/suggest.h"

namespace assay::datasets {

const std::vector<std::string>& join_rules() {
  static const std::vector<std::string> kRules = {"file", "wikitext", "newlines", "space"};
  return kRules;
}

std::string joined_rows(std::string_view text, const std::string& rule) {
  if (std::find(join_rules().begin(), join_rules().end(), rule) == join_rules().end()) {
    throw Error(ErrorKind::kConfig,
                fmt::format("unknown join '{}'{}", rule, suggestion(rule, join_rules())));
  }
  if (rule == "file") {
    return std::string(text);
  }
  const std::string_view between = rule == "space" ? " " : "\n\n";
  std::string joined;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t feed = text.find('\n', begin);
    const std::size_t end = feed == std::string_view::npos ? text.size() : feed + 1;
    const std::string_view line = text.substr(begin, end - begin);
    if (begin > 0) {
      joined += between;
    }
    if (rule != "wikitext") {
      joined += stripped(line);
    } else if (!stripped(line).empty()) {
      joined += line;
    }
    begin = end;
  }
  return joined;
}

std::vector<std::string> split_documents(std::string_view text, std::string_view separator) {
  std::vector<std::string> documents;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t found = text.find(separator, begin);
    const std::size_t end = found == std::string_view::npos ? text.size() : found;
    const std::string_view piece = text.substr(begin, end - begin);
    if (!stripped(piece).empty()) {
      documents.emplace_back(piece);
    }
    begin = end + separator.size();
  }
  return documents;
}

std::int64_t count_words(std::string_view text) {
  std::int64_t words = 0;
  bool inside = false;
  for (const char c : text) {
    const bool white = c == ' ' || (c >= '\t' && c <= '\r');
    words += !white && !inside ? 1 : 0;
    inside = !white;
  }
  return words;
}

}  // namespace assay::datasets
