#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <utility>

#include "harness/base/digest.h"
#include "harness/base/error.h"
#include "harness/base/utf8.h"
#include "harness/formats/class_list.h"

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

const Json& member(const Json& json, const char* name) {
  static const Json kNull;
  if (!json.is_object()) return kNull;
  const auto found = json.find(name);
  return found == json.end() ? kNull : *found;
}

// Every text below a value, names of members too.
void collect_texts(const Json& value, std::vector<std::string>& into) {
  if (into.size() >= kMaxClasses) return;
  if (value.is_string()) into.push_back(value.get<std::string>());
  if (!value.is_structured()) return;
  for (const auto& item : value.items()) {
    if (value.is_object()) into.push_back(item.key());
    if (!item.value().is_structured()) collect_texts(item.value(), into);
  }
}

// A field that numbers outputs: their names, or why they cannot be told.
struct Field {
  std::string name;
  std::vector<std::string> names;
  std::string problem;
};

// ["cat", "dog"]
Field list_field(const std::string& name, const Json& value) {
  Field field{name, {}, ""};
  for (std::size_t i = 0; value.is_array() && i < value.size() && i < kMaxClasses; ++i) {
    if (value[i].is_string()) field.names.push_back(value[i].get<std::string>());
  }
  if (!value.is_array() || field.names.size() != value.size() || value.empty()) {
    field.problem = fmt::format("'{}' is no list of names", name);
  }
  return field;
}

// "0" .. "999999"; -1 for anything else.
std::int64_t output_number(const std::string& text) {
  const bool digits =
      !text.empty() && text.size() <= 7 && std::all_of(text.begin(), text.end(), is_digit);
  return digits ? std::strtoll(text.c_str(), nullptr, 10) : -1;
}

// {"0": "cat", "1": "dog"} with every number below its size, or {"cat": 0, "dog": 1}.
Field map_field(const std::string& name, const Json& value, bool by_number) {
  Field field{name, {}, ""};
  std::vector<std::string> names(value.is_object() ? value.size() : 0);
  std::set<std::int64_t> seen;
  bool good = value.is_object() && !value.empty() && value.size() <= kMaxClasses;
  for (auto item = value.begin(); good && item != value.end(); ++item) {
    std::int64_t number = -1;
    if (by_number) {
      number = output_number(item.key());
      good = item.value().is_string();
    } else if (item.value().is_number_integer()) {
      number = item.value().get<std::int64_t>();
    }
    good = good && number >= 0 && number < static_cast<std::int64_t>(names.size()) &&
           seen.insert(number).second;
    if (!good) break;
    names[static_cast<std::size_t>(number)] =
        by_number ? item.value().get<std::string>() : item.key();
  }
  if (good) {
    field.names = std::move(names);
  } else {
    field.problem = fmt::format("'{}' does not number names from 0 without a gap", name);
  }
  return field;
}

// LABEL_0, LABEL_1, ...: what libraries write where nobody has named anything.
bool are_default_labels(const std::vector<std::string>& names) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] != fmt::format("LABEL_{}", i)) return false;
  }
  return true;
}

// The fields that are there, in the order in which they count.
std::vector<Field> class_fields(const Json& configuration) {
  std::vector<Field> fields;
  const std::pair<const char*, const Json*> objects[] = {
      {"", &configuration}, {"pretrained_cfg.", &member(configuration, "pretrained_cfg")}};
  for (const auto& [prefix, object] : objects) {
    for (const char* name : {"label_names", "classes"}) {
      const Json& value = member(*object, name);
      if (value.is_structured()) fields.push_back(list_field(prefix + std::string(name), value));
    }
  }
  for (const bool by_number : {true, false}) {
    const char* name = by_number ? "id2label" : "label2id";
    const Json& value = member(configuration, name);
    if (value.is_structured()) fields.push_back(map_field(name, value, by_number));
  }
  std::erase_if(fields, [](const Field& field) {
    return field.problem.empty() && are_default_labels(field.names);
  });
  return fields;
}

std::int64_t stated_outputs(const Json& configuration) {
  for (const Json* object : {&configuration, &member(configuration, "model_args"),
                             &member(configuration, "pretrained_cfg")}) {
    const Json& count = member(*object, "num_classes");
    if (count.is_number_integer() && count > 0) return count.get<std::int64_t>();
  }
  return 0;
}

std::string problem_in(const std::vector<Field>& fields, std::int64_t outputs) {
  for (const Field& field : fields) {
    if (!field.problem.empty()) return field.problem;
    const auto count = static_cast<std::int64_t>(field.names.size());
    if (outputs > 0 && count != outputs)
      return fmt::format("the length of '{}' is {}, 'num_classes' is {}", field.name, count,
                         outputs);
    if (field.names != fields.front().names)
      return fmt::format("'{}' and '{}' contradict each other", fields.front().name, field.name);
  }
  return "";
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
    const char* wrong = name.empty()                  ? "is empty"
                        : !is_utf8(name)              ? "is not UTF-8"
                        : !seen.insert(name).second   ? "repeats an earlier one"
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
  if (const std::int64_t stated = stated_outputs(configuration); stated > 0) return stated;
  return static_cast<std::int64_t>(class_names_in(configuration).names.size());
}

StatedClasses class_names_in(const Json& configuration) {
  StatedClasses stated;
  const std::vector<Field> fields = class_fields(configuration);
  if (fields.empty()) return stated;
  stated.problem = problem_in(fields, stated_outputs(configuration));
  if (stated.problem.empty()) {
    stated.names = fields.front().names;
  } else {
    for (const char* object : {"", "pretrained_cfg"}) {
      const Json& holder = *object == '\0' ? configuration : member(configuration, object);
      for (const char* name : {"label_names", "classes", "id2label", "label2id"})
        collect_texts(member(holder, name), stated.unusable);
    }
    std::sort(stated.unusable.begin(), stated.unusable.end());
    const auto repeated = std::unique(stated.unusable.begin(), stated.unusable.end());
    stated.unusable.erase(repeated, stated.unusable.end());
  }
  return stated;
}

Json class_list_identity(const std::vector<std::string>& names) {
  return {{"count", names.size()}, {"digest", sha256(canonical_json(Json(names)))}};
}

}  // namespace assay
