#include "harness/spec/node.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>

#include "harness/base/suggest.h"
#include "harness/base/utf8.h"

namespace assay::spec {
namespace {

std::optional<Json> integer_from(std::string_view text) {
  std::string_view digits = text;
  if (digits.starts_with('+') || digits.starts_with('-')) digits.remove_prefix(1);
  int base = 10;
  if (digits.starts_with("0x")) base = 16;
  if (digits.starts_with("0o")) base = 8;
  if (base != 10) digits.remove_prefix(2);
  std::uint64_t magnitude = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), magnitude, base);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) return {};
  if (!text.starts_with('-')) {
    return magnitude <= INT64_MAX ? Json(static_cast<std::int64_t>(magnitude)) : Json(magnitude);
  }
  if (magnitude > static_cast<std::uint64_t>(INT64_MAX)) return {};
  return Json(-static_cast<std::int64_t>(magnitude));
}

std::optional<Json> real_from(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  // from_chars also reads "inf" and "nan", which are words here.
  if (text.find_first_of("0123456789") == std::string_view::npos) return {};
  if (text.find_first_not_of("0123456789+-.eE") != std::string_view::npos) return {};
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return Json(value);
}

bool has_leading_zero(std::string_view text) {
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  return text.size() > 1 && text[0] == '0' && text[1] >= '0' && text[1] <= '9';
}

Json scalar_to_json(const Node& node) {
  if (!node.plain) return node.text;
  if (node.text == "true" || node.text == "True" || node.text == "TRUE") return true;
  if (node.text == "false" || node.text == "False" || node.text == "FALSE") return false;
  if (auto integer = integer_from(node.text)) {
    if (has_leading_zero(node.text)) {
      refuse(node.place,
             fmt::format("'{}' begins with 0, which is octal to some readers of YAML and "
                         "decimal to others; write it without, or '0o..', or in quotes",
                         node.text));
    }
    return *integer;
  }
  if (auto real = real_from(node.text)) return *real;
  return node.text;
}

}  // namespace

Node* Node::find(std::string_view key) {
  for (Member& member : members) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

const Node* Node::find(std::string_view key) const { return const_cast<Node*>(this)->find(key); }

std::string Node::shown() const {
  constexpr std::size_t kShown = 60;
  switch (kind) {
    case Kind::kNull:
      return "nothing";
    case Kind::kList:
      return "a list";
    case Kind::kMap:
      return "a map";
    case Kind::kScalar:
      break;
  }
  if (text.size() <= kShown) return fmt::format("'{}'", text);
  return fmt::format("'{}...'", utf8_prefix(text, kShown));
}

Json to_json(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull:
      return nullptr;
    case Node::Kind::kScalar:
      return scalar_to_json(node);
    case Node::Kind::kList: {
      Json list = Json::array();
      for (const Node& item : node.items) list.push_back(to_json(item));
      return list;
    }
    case Node::Kind::kMap: {
      Json map = Json::object();
      for (const Member& member : node.members) map[member.key] = to_json(member.value);
      return map;
    }
  }
  return nullptr;
}

const std::string& text_of(const Node& node, std::string_view what) {
  if (!node.is_scalar() || node.text.empty()) {
    refuse(node.place, fmt::format("{} must be a text, not {}", what, node.shown()), node.shown());
  }
  return node.text;
}

std::int64_t integer_of(const Node& node, std::string_view what, std::int64_t minimum,
                        std::int64_t maximum) {
  const Json value = node.is_scalar() ? to_json(node) : Json();
  if (value.is_number_integer() && !value.is_number_unsigned()) {
    const auto number = value.get<std::int64_t>();
    if (number >= minimum && number <= maximum) return number;
  }
  if (value.is_number_unsigned() && value.get<std::uint64_t>() <= INT64_MAX) {
    const auto number = static_cast<std::int64_t>(value.get<std::uint64_t>());
    if (number >= minimum && number <= maximum) return number;
  }
  refuse(node.place,
         fmt::format("{} must be an integer from {} to {}, not {}", what, minimum, maximum,
                     node.shown()),
         node.shown());
}

std::vector<Node*> list_of(Node& node, std::string_view what) {
  std::vector<Node*> list;
  if (node.is_scalar()) return {&node};
  if (node.is_list()) {
    for (Node& item : node.items) list.push_back(&item);
  }
  if (list.empty()) {
    refuse(node.place, fmt::format("{} must be a value or a list of values, not {}", what,
                                   node.is_list() ? "an empty list" : node.shown()));
  }
  return list;
}

Fields::Fields(Node& node, std::string what)
    : node_(node), what_(std::move(what)), taken_(node.members.size(), false) {
  if (!node.is_map()) {
    refuse(node.place, fmt::format("{} must be a map (key: value), not {}", what_, node.shown()),
           node.shown());
  }
}

Node* Fields::take(std::string_view key) {
  legal_.emplace_back(key);
  for (std::size_t i = 0; i < node_.members.size(); ++i) {
    if (node_.members[i].key == key) {
      taken_[i] = true;
      return &node_.members[i].value;
    }
  }
  return nullptr;
}

Node& Fields::require(std::string_view key) {
  if (Node* value = take(key)) return *value;
  for (const Member* member : rest()) {
    if (!nearest(member->key, {std::string(key)}).empty()) refuse_key(*member);  // misspelt
  }
  refuse(node_.place, fmt::format("{} lacks the key '{}'", what_, key));
}

std::vector<Member*> Fields::rest() {
  std::vector<Member*> rest;
  for (std::size_t i = 0; i < node_.members.size(); ++i) {
    if (!taken_[i]) rest.push_back(&node_.members[i]);
  }
  return rest;
}

void Fields::allow(const std::vector<std::string>& keys) {
  legal_.insert(legal_.end(), keys.begin(), keys.end());
}

void Fields::finish() {
  for (Member* member : rest()) refuse_key(*member);
}

void Fields::refuse_key(const Member& member) const {
  std::vector<std::string> legal = legal_;
  std::sort(legal.begin(), legal.end());
  legal.erase(std::unique(legal.begin(), legal.end()), legal.end());
  refuse(member.place,
         fmt::format("unknown key '{}' in {}{}", member.key, what_, suggestion(member.key, legal)),
         member.key);
}

}  // namespace assay::spec
