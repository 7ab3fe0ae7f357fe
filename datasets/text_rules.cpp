#include "datasets/text_rules.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "datasets/text.h"
#include "harness/base/error.h"
#include "harness/base/suggest.h"

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

std::int64_t count_words(std::string_view text) { return count_words(text, 0, text.size()); }

std::int64_t count_words(std::string_view text, std::size_t begin, std::size_t end) {
  const auto white = [&](std::size_t at) {
    return text[at] == ' ' || (text[at] >= '\t' && text[at] <= '\r');
  };
  std::int64_t words = 0;
  bool inside = begin > 0 && !white(begin - 1);
  for (std::size_t at = begin; at < end; ++at) {
    words += !white(at) && !inside ? 1 : 0;
    inside = !white(at);
  }
  return words;
}

HiddenBytes hidden_bytes(const std::vector<std::string>& documents) {
  constexpr std::string_view kMark = "\xef\xbb\xbf";
  HiddenBytes hidden;
  for (const std::string& text : documents) {
    hidden.nul_bytes += std::count(text.begin(), text.end(), '\0');
    hidden.carriage_returns += std::count(text.begin(), text.end(), '\r');
    for (std::size_t at = 0; (at = text.find(kMark, at)) != std::string::npos; at += kMark.size()) {
      ++hidden.byte_order_marks;
    }
  }
  return hidden;
}

std::string note_of(const HiddenBytes& hidden) {
  std::vector<std::string> parts;
  if (hidden.carriage_returns > 0) {
    parts.push_back(fmt::format("{} carriage return{} (CR LF line ends)", hidden.carriage_returns,
                                hidden.carriage_returns == 1 ? "" : "s"));
  }
  if (hidden.byte_order_marks > 0) {
    parts.push_back(fmt::format("{} byte-order mark{} (U+FEFF)", hidden.byte_order_marks,
                                hidden.byte_order_marks == 1 ? "" : "s"));
  }
  if (hidden.nul_bytes > 0) {
    parts.push_back(fmt::format("{} NUL byte{} (is it UTF-16?)", hidden.nul_bytes,
                                hidden.nul_bytes == 1 ? "" : "s"));
  }
  return parts.empty() ? ""
                       : fmt::format("the text keeps {}; they are tokens like any other",
                                     fmt::join(parts, " and "));
}

}  // namespace assay::datasets
