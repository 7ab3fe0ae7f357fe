#include <fmt/format.h>

#include <algorithm>

#include "harness/base/suggest.h"
#include "harness/spec/bits.h"
#include "harness/spec/block.h"
#include "harness/spec/load.h"

// The axes of a block: what a key names, which values it lists, and which are walked together.

namespace assay::spec {
namespace {

constexpr std::int64_t kMaxSeed = std::int64_t{1} << 53;

template <typename Record>
std::int64_t index_of(const std::vector<Record>& records, const Node& node, std::string_view what) {
  const std::string& name = text_of(node, what);
  std::vector<std::string> known;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (records[i].name == name) return static_cast<std::int64_t>(i);
    known.push_back(records[i].name);
  }
  refuse(node.place, fmt::format("unknown {} '{}'{}", what, name, suggestion(name, known)), name);
}

}  // namespace

std::optional<std::size_t> Block::slot_of(const std::string& name, const Place& place) {
  const auto fixed = std::find(kAxisNames.begin(), kAxisNames.end(), name);
  if (fixed != kAxisNames.end()) return static_cast<std::size_t>(fixed - kAxisNames.begin());
  const std::size_t dot = name.find('.');
  ParameterAxis axis;
  axis.method = dot == std::string::npos ? "" : name.substr(0, dot);
  axis.parameter = dot == std::string::npos ? name : name.substr(dot + 1);
  axis.place = place;
  if (schema_of(axis) == nullptr) return {};
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (parameters_[i].method == axis.method && parameters_[i].parameter == axis.parameter) {
      return kFirstParameter + i;
    }
  }
  parameters_.push_back(std::move(axis));
  given_.emplace_back();
  return kFirstParameter + parameters_.size() - 1;
}

const ParameterSchema* Block::schema_of(const ParameterAxis& axis) const {
  for (const MethodChoice& choice : methods_) {
    for (const MethodDeclaration* method : choice.expression.methods) {
      if (!axis.method.empty() && method->name != axis.method) continue;
      if (const auto* schema = find_schema(method->parameters, axis.parameter)) return schema;
    }
  }
  return nullptr;
}

std::vector<Block::Value> Block::values_of(std::size_t slot, Node& node) {
  std::vector<Value> values;
  if (slot == kMethod) {
    for (std::size_t i = 0; i < methods_.size(); ++i) {
      values.push_back({static_cast<std::int64_t>(i)});
    }
    return values;
  }
  if (slot >= kFirstParameter) {
    const ParameterSchema& schema = *schema_of(parameters_[slot - kFirstParameter]);
    const bool list_of_lists = node.is_list() && !node.items.empty() &&
                               std::all_of(node.items.begin(), node.items.end(),
                                           [](const Node& item) { return item.is_list(); });
    if (node.is_list() && (!is_list_parameter(schema) || list_of_lists)) {
      for (Node& item : node.items) values.push_back({-1, &item});
      if (values.empty()) {
        refuse(node.place, fmt::format("'{}' has an empty list of values", schema.name));
      }
      return values;
    }
    return {{-1, &node}};
  }
  for (Node* item : list_of(node, kAxisNames[slot])) {
    switch (slot) {
      case kModel:
        values.push_back({index_of(sweep_.models, *item, "model")});
        break;
      case kBits: {
        const Bits bits = parse_bits(*item);
        values.push_back({(bits.weights * kBitsBase + bits.activations) * kBitsBase + bits.cache});
        break;
      }
      case kSeed:
      case kCalibrationSeed:
        values.push_back({integer_of(*item, kAxisNames[slot], 0, kMaxSeed)});
        break;
      default:
        values.push_back({index_of(sweep_.data, *item, "data set")});
    }
  }
  return values;
}

void Block::add_axis(const std::string& name, Node& node, const Place& place) {
  const std::size_t slot = *slot_of(name, place);
  if (given_[slot]) {
    refuse(
        place,
        fmt::format("'{}' is given twice in this block, first at {}", name, given_[slot]->text()),
        name);
  }
  given_[slot] = place;
  Axis axis;
  axis.slots = {slot};
  for (const Value& value : values_of(slot, node)) axis.rows.push_back({value});
  axes_.push_back(std::move(axis));
}

void Block::read_zip(Node& node) {
  if (node.is_list()) {
    for (Node& group : node.items) read_zip_group(group);
  } else {
    read_zip_group(node);
  }
}

void Block::read_zip_group(Node& node) {
  if (!node.is_map() || node.members.empty()) {
    refuse(node.place, fmt::format("zip must be a map of axes, each a list, not {}", node.shown()));
  }
  Axis axis;
  const Member* first = nullptr;
  for (Member& member : node.members) {
    const auto slot = slot_of(member.key, member.place);
    if (!slot) {
      std::vector<std::string> legal = kAxisNames;
      for (const std::string& name : parameter_names()) legal.push_back(name);
      refuse(member.place,
             fmt::format("unknown axis '{}' in zip{}", member.key, suggestion(member.key, legal)),
             member.key);
    }
    if (given_[*slot]) {
      refuse(member.place,
             fmt::format("'{}' is given twice in this block, first at {}", member.key,
                         given_[*slot]->text()),
             member.key);
    }
    given_[*slot] = member.place;
    const std::vector<Value> values = values_of(*slot, member.value);
    if (first == nullptr) {
      first = &member;
      axis.rows.resize(values.size());
    } else if (values.size() != axis.rows.size()) {
      refuse(member.place,
             fmt::format("zip walks its lists together, but '{}' has {} values and '{}' has {}",
                         first->key, axis.rows.size(), member.key, values.size()),
             member.key);
    }
    axis.slots.push_back(*slot);
    for (std::size_t i = 0; i < values.size(); ++i) axis.rows[i].push_back(values[i]);
  }
  axes_.push_back(std::move(axis));
}

}  // namespace assay::spec
