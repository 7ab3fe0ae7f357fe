#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "harness/core/class_list.h"
#include "harness/core/digest.h"
#include "harness/core/error.h"

// Where class names are found: list files and config.json. What they decide: class_list.cpp.

namespace assay {
namespace {

constexpr std::size_t kMaxClasses = 1'000'000;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// The digits at `at`, which moves behind them, without leading zeros.
std::string_view number_at(std::string_view text, std::size_t& at) {
  while (at < text.size() && text[at] == '0') ++at;
  const std::size_t begin = at;
  while (at < text.size() && is_digit(text[at])) ++at;
  return text.substr(begin, at - begin);
}

bool is_utf8(const std::string& text) {
  try {
    return !Json(text).dump().empty();
  } catch (const Json::exception&) {
    return false;
  }
}

const Json& member(const Json& json, const char* name) {
  static const Json kNull;
  if (!json.is_object()) return kNull;
  const auto found = json.find(name);
  return found == json.end() ? kNull : *found;
}

std::vector<std::string> texts(const Json& list) {
  std::vector<std::string> names;
  if (!list.is_array() || list.size() > kMaxClasses) return names;
  for (const Json& item : list) {
    if (!item.is_string()) return {};
    names.push_back(item.get<std::string>());
  }
  return names;
}

// {"0": "cat", "1": "dog"} with every number below its size.
std::vector<std::string> labels(const Json& map) {
  if (!map.is_object() || map.size() > kMaxClasses) return {};
  std::vector<std::string> names(map.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    const Json& name = member(map, std::to_string(i).c_str());
    if (!name.is_string() || name == fmt::format("LABEL_{}", i)) return {};
    names[i] = name.get<std::string>();
  }
  return names;
}

std::vector<std::string> stated_names(const Json& configuration) {
  for (const Json* object : {&configuration, &member(configuration, "pretrained_cfg")}) {
    for (const char* field : {"label_names", "classes"}) {
      std::vector<std::string> names = texts(member(*object, field));
      if (!names.empty()) return names;
    }
  }
  return labels(member(configuration, "id2label"));
}

}  // namespace

bool natural_less(std::string_view a, std::string_view b) {
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < a.size() && j < b.size()) {
    if (is_digit(a[i]) && is_digit(b[j])) {
      const std::string_view left = number_at(a, i);
      const std::string_view right = number_at(b, j);
      if (left.size() != right.size()) return left.size() < right.size();
      if (left != right) return left < right;
    } else {
      const auto left = static_cast<unsigned char>(lower(a[i++]));
      const auto right = static_cast<unsigned char>(lower(b[j++]));
      if (left != right) return left < right;
    }
  }
  return a.size() - i < b.size() - j;
}

std::vector<std::string> class_list_from(std::string_view text, const std::string& file) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::vector<std::string> names;
  std::set<std::string> seen;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string name(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (name.ends_with('\r')) name.pop_back();
    const char* wrong = name.empty()              ? "is empty"
                        : !is_utf8(name)          ? "is not UTF-8"
                        : !seen.insert(name).second ? "repeats an earlier one"
                        : names.size() >= kMaxClasses ? "is one too many"
                                                      : nullptr;
    if (wrong != nullptr) {
      throw Error(ErrorKind::kData,
                  fmt::format("'{}', line {}: the class name {}; expected a name a line, in the "
                              "order of the network's outputs",
                              file, names.size() + 1, wrong),
                  {{"file", file}});
    }
    names.push_back(std::move(name));
  }
  if (names.empty()) {
    throw Error(ErrorKind::kData, fmt::format("'{}' names no class", file), {{"file", file}});
  }
  return names;
}

std::int64_t outputs_in(const Json& configuration) {
  for (const Json* object : {&configuration, &member(configuration, "model_args"),
                             &member(configuration, "pretrained_cfg")}) {
    const Json& count = member(*object, "num_classes");
    if (count.is_number_integer() && count > 0) return count.get<std::int64_t>();
  }
  return static_cast<std::int64_t>(stated_names(configuration).size());
}

std::vector<std::string> class_names_in(const Json& configuration) {
  std::vector<std::string> names = stated_names(configuration);
  if (static_cast<std::int64_t>(names.size()) != outputs_in(configuration)) names.clear();
  return names;
}

Json class_list_identity(const std::vector<std::string>& names) {
  return {{"count", names.size()}, {"digest", sha256(canonical_json(Json(names)))}};
}

}  // namespace assay
