#include "harness/base/nonfinite_json.h"

#include <array>

#include "harness/base/error.h"

namespace assay {
namespace {

// Stands for such a number while the text is parsed: a text that begins with NUL.
constexpr std::string_view kMark = "\"\\u0000";

// The text with marks for the numbers that JSON does not have; texts in quotes stay as they are.
std::string marked(std::string_view text) {
  constexpr std::array<std::string_view, 3> kWords{"-Infinity", "Infinity", "NaN"};
  std::string result;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size();) {
    std::string_view word;
    for (const std::string_view each : kWords) {
      if (!quoted && word.empty() && text.substr(i).starts_with(each)) word = each;
    }
    if (!word.empty()) {
      result.append(kMark).append(word).append("\"");
      i += word.size();
      continue;
    }
    if (quoted && text[i] == '\\' && i + 1 < text.size()) {
      result.append(text.substr(i, 2));  // also an escaped quote
      i += 2;
      continue;
    }
    if (text[i] == '"') quoted = !quoted;
    result += text[i++];
  }
  return result;
}

void collect(Json& value, const std::string& path, std::vector<NonfiniteJson::Member>& members) {
  if (value.is_string() && value.get_ref<const std::string&>().starts_with('\0')) {
    members.push_back({path, value.get<std::string>().substr(1)});
    value = nullptr;
  } else if (value.is_object()) {
    for (auto& item : value.items())
      collect(item.value(), path.empty() ? item.key() : path + "." + item.key(), members);
  } else if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i)
      collect(value[i], path + "[" + std::to_string(i) + "]", members);
  }
}

}  // namespace

std::optional<NonfiniteJson> parse_nonfinite(std::string_view text, int max_depth) {
  NonfiniteJson parsed;
  try {
    parsed.value = parse_json(marked(text), "message", max_depth);
  } catch (const Error&) {
    return {};
  }
  collect(parsed.value, "", parsed.members);
  if (parsed.members.empty()) return {};
  return parsed;
}

}  // namespace assay
