#include "harness/spec/block.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>

#include "harness/core/suggest.h"
#include "harness/spec/load.h"

namespace assay::spec {
namespace {

constexpr std::int64_t kMaxSeed = std::int64_t{1} << 53;
constexpr std::int64_t kBitsBase = 32;  // weight bits * base + activation bits
constexpr std::size_t kMaxCombinations = 100'000;

const std::vector<std::string> kAxisNames{"model", "method",           "bits",
                                          "seed",  "calibration_seed", "calibration_data"};

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

void parse_bits(const Node& node, int& weight_bits, int& activation_bits) {
  const std::string& text = node.text;
  const auto digits = [&](std::size_t from, std::size_t to) -> int {
    if (to <= from || to - from > 2) return 0;
    int value = 0;
    for (std::size_t i = from; i < to; ++i) {
      if (text[i] < '0' || text[i] > '9') return 0;
      value = 10 * value + (text[i] - '0');
    }
    return value;
  };
  const std::size_t a = text.find_first_of("Aa");
  if (node.is_scalar() && !text.empty() && (text[0] == 'W' || text[0] == 'w') &&
      a != std::string::npos) {
    weight_bits = digits(1, a);
    activation_bits = digits(a + 1, text.size());
    if (weight_bits >= 1 && weight_bits <= 16 && activation_bits >= 1 && activation_bits <= 16) {
      return;
    }
  }
  refuse(node.place,
         fmt::format("bits must be like W4A8 (weights and activations, 1 to 16, 16: float), not {}",
                     node.shown()),
         node.shown());
}

Block::Block(Node& node, const std::string& what, Exclude exclude, const Catalogue& catalogue,
             const Sweep& sweep, StepTable& steps)
    : catalogue_(catalogue),
      sweep_(sweep),
      steps_(steps),
      what_(what),
      place_(node.place),
      given_(kFirstParameter) {
  Fields fields(node, what);
  // Methods first: they decide which other keys are legal.
  if (Node* method = node.find("method")) read_methods(*method);
  Node* zip = node.find("zip");
  if (zip != nullptr) {
    for (Node* group : zip->is_list() ? list_of(*zip, "zip") : std::vector<Node*>{zip}) {
      if (Node* method = group->find("method")) {
        if (!methods_.empty()) refuse(method->place, "'method' is given twice in this block");
        read_methods(*method);
      }
    }
  }
  if (methods_.empty()) fields.require("method");
  fields.allow(kAxisNames);
  fields.allow({"zip"});
  fields.allow(axis_names());
  if (exclude == Exclude::kAllowed) fields.allow({"exclude"});
  for (Member* member : fields.rest()) {
    const std::string& key = member->key;
    if (key == "zip") {
      read_zip(member->value);
    } else if (key == "exclude" && exclude == Exclude::kAllowed) {
      continue;
    } else if (slot_of(key, member->place)) {
      add_axis(key, member->value, member->place);
    } else if (const MethodDeclaration* method = catalogue_.find_method(key)) {
      const bool used = std::any_of(methods_.begin(), methods_.end(), [&](const MethodChoice& m) {
        return std::count(m.expression.methods.begin(), m.expression.methods.end(), method) > 0;
      });
      if (!used) {
        refuse(member->place,
               fmt::format("parameters of method '{}', which {} never uses; add it to 'method' or "
                           "remove them",
                           key, what_),
               key);
      }
      method_blocks_[key] = &member->value;
    } else {
      fields.refuse_key(*member);
    }
  }
  if (exclude == Exclude::kAllowed) {
    if (Node* rules = node.find("exclude")) read_exclude(*rules);
  }
  finish();
}

void Block::finish() {
  if (!given_[kModel]) refuse(place_, fmt::format("{} lacks the key 'model'", what_));
  for (const Axis& axis : axes_) {
    if (size_ > std::numeric_limits<std::uint32_t>::max() / axis.rows.size()) {
      refuse(place_, fmt::format("{} has more combinations than fit in memory", what_));
    }
    size_ *= axis.rows.size();
  }
}

void Block::read_methods(Node& node) {
  const auto add = [&](const std::string& text, const Place& place, Node* parameters) {
    MethodChoice choice{method_expression(text, place, catalogue_), parameters, place};
    if (parameters != nullptr && parameters->is_null()) choice.parameters = nullptr;
    methods_.push_back(std::move(choice));
  };
  const auto add_map = [&](Node& map) {
    for (Member& member : map.members) add(member.key, member.place, &member.value);
  };
  if (node.is_map()) {
    add_map(node);
  } else if (node.is_list()) {
    for (Node& item : node.items) {
      if (item.is_map()) {
        add_map(item);
      } else {
        add(text_of(item, "method"), item.place, nullptr);
      }
    }
  } else {
    add(text_of(node, "method"), node.place, nullptr);
  }
  if (methods_.empty()) refuse(node.place, "'method' names no method");
}

std::vector<std::string> Block::parameter_names() const {
  std::set<std::string> names;
  for (const MethodChoice& choice : methods_) {
    for (const MethodDeclaration* method : choice.expression.methods) {
      for (const ParameterSchema& schema : method->parameters) {
        names.insert(schema.name);
        names.insert(method->name + "." + schema.name);
      }
    }
  }
  return {names.begin(), names.end()};
}

std::vector<std::string> Block::axis_names() const {
  std::vector<std::string> names = kAxisNames;
  for (const std::string& name : parameter_names()) names.push_back(name);
  for (const MethodChoice& choice : methods_) {
    for (const MethodDeclaration* method : choice.expression.methods) {
      names.push_back(method->name);
    }
  }
  return names;
}

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
        int weight_bits = 0;
        int activation_bits = 0;
        parse_bits(*item, weight_bits, activation_bits);
        values.push_back({weight_bits * kBitsBase + activation_bits});
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

void Block::read_exclude(Node& node) {
  std::vector<std::string> legal = kAxisNames;
  for (const char* name : {"w_bits", "a_bits", "family", "task"}) legal.emplace_back(name);
  for (const std::string& name : parameter_names()) legal.push_back(name);
  std::vector<Node*> rules;
  if (node.is_list()) {
    for (Node& item : node.items) rules.push_back(&item);
  } else {
    rules.push_back(&node);
  }
  for (Node* rule : rules) {
    Fields fields(*rule, "exclude");
    for (Node* where : list_of(fields.require("where"), "where")) {
      exclude_.emplace_back(*where, legal);
    }
    fields.finish();
  }
}

// Every combination of the parameters that this choice of method leaves open.
Block::Steps Block::make_steps(const MethodChoice& choice, const std::vector<Value>& point) {
  struct Open {
    std::size_t step;
    std::string name;
    std::vector<Json> values;
  };
  std::vector<Open> open;
  std::map<std::pair<std::size_t, std::string>, Place> given;
  const auto& methods = choice.expression.methods;
  const auto give = [&](std::size_t step, const ParameterSchema& schema, Node& node,
                        const Place& place, bool single) {
    const auto [found, inserted] = given.try_emplace({step, schema.name}, place);
    if (!inserted) {
      refuse(place,
             fmt::format("parameter '{}' of {} is given twice, first at {}", schema.name,
                         methods[step]->name, found->second.text()),
             schema.name);
    }
    open.push_back({step, schema.name,
                    single ? std::vector<Json>{parameter_value(schema, node)}
                           : parameter_values(schema, node)});
  };
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const ParameterAxis& axis = parameters_[i];
    if (point[kFirstParameter + i].node == nullptr) continue;
    for (std::size_t step = 0; step < methods.size(); ++step) {
      if (!axis.method.empty() && methods[step]->name != axis.method) continue;
      if (const auto* schema = find_schema(methods[step]->parameters, axis.parameter)) {
        give(step, *schema, *point[kFirstParameter + i].node, axis.place, true);
      }
    }
  }
  const auto give_block = [&](std::size_t step, Node& node) {
    Fields fields(node, fmt::format("parameters of method '{}'", methods[step]->name));
    fields.allow(names_of(methods[step]->parameters));
    for (Member* member : fields.rest()) {
      const auto* schema = find_schema(methods[step]->parameters, member->key);
      if (schema == nullptr) fields.refuse_key(*member);
      give(step, *schema, member->value, member->place, false);
    }
  };
  for (std::size_t step = 0; step < methods.size(); ++step) {
    const auto block = method_blocks_.find(methods[step]->name);
    if (block != method_blocks_.end() && !block->second->is_null())
      give_block(step, *block->second);
  }
  if (choice.parameters != nullptr) {
    Fields fields(*choice.parameters,
                  fmt::format("parameters of method '{}'", choice.expression.text));
    for (const MethodDeclaration* method : methods) fields.allow(names_of(method->parameters));
    for (Member* member : fields.rest()) {
      bool used = false;
      for (std::size_t step = 0; step < methods.size(); ++step) {
        if (methods.size() > 1 && methods[step]->name == member->key) {
          give_block(step, member->value);
          used = true;
        } else if (const auto* schema = find_schema(methods[step]->parameters, member->key)) {
          give(step, *schema, member->value, member->place, false);
          used = true;
        }
      }
      if (!used) fields.refuse_key(*member);
    }
  }
  std::size_t count = 1;
  for (const Open& each : open) {
    count *= each.values.size();
    if (count > kMaxCombinations) {
      refuse(choice.place, fmt::format("more than {} combinations of parameters of '{}'",
                                       kMaxCombinations, choice.expression.text));
    }
  }
  Steps combinations;
  for (std::size_t index = 0; index < count; ++index) {
    std::vector<Json> parameters(methods.size(), Json::object());
    std::size_t rest = index;
    for (auto each = open.rbegin(); each != open.rend(); ++each) {
      parameters[each->step][each->name] = each->values[rest % each->values.size()];
      rest /= each->values.size();
    }
    std::vector<std::uint32_t> steps;
    for (std::size_t step = 0; step < methods.size(); ++step) {
      steps.push_back(steps_.intern(*methods[step], parameters[step], choice.place));
    }
    combinations.push_back(std::move(steps));
  }
  return combinations;
}

const Block::Steps& Block::steps_of(const std::vector<Value>& point) {
  std::vector<std::uintptr_t> key{static_cast<std::uintptr_t>(point[kMethod].number)};
  for (std::size_t i = kFirstParameter; i < point.size(); ++i) {
    key.push_back(reinterpret_cast<std::uintptr_t>(point[i].node));
  }
  const auto found = made_steps_.find(key);
  if (found != made_steps_.end()) return found->second;
  const MethodChoice& choice = methods_[static_cast<std::size_t>(point[kMethod].number)];
  return made_steps_.emplace(std::move(key), make_steps(choice, point)).first->second;
}

Json Block::value_of(const std::string& name, const Point& point,
                     const std::vector<Value>& values) const {
  const Model& model = sweep_.models[point.model];
  if (name == "model") return model.name;
  if (name == "family") return model.family;
  if (name == "task") return model.task;
  if (name == "method") return point.method->text;
  if (name == "seed") return point.seed ? Json(*point.seed) : Json();
  if (name == "calibration_seed") {
    return point.calibration_seed ? Json(*point.calibration_seed) : Json();
  }
  if (name == "calibration_data") {
    const auto index = values[kCalibrationData].number;
    return index >= 0 ? Json(sweep_.data[static_cast<std::size_t>(index)].name) : Json(model.data);
  }
  if (name == "bits" || name == "w_bits" || name == "a_bits") {
    if (point.weight_bits == 0) return {};
    if (name == "w_bits") return point.weight_bits;
    if (name == "a_bits") return point.activation_bits;
    return fmt::format("W{}A{}", point.weight_bits, point.activation_bits);
  }
  const std::size_t dot = name.find('.');
  for (const std::uint32_t index : point.steps) {
    const MethodStep& step = steps_[index];
    if (dot != std::string::npos && step.method != std::string_view(name).substr(0, dot)) continue;
    const auto found = step.parameters.find(dot == std::string::npos ? name : name.substr(dot + 1));
    if (found != step.parameters.end()) return *found;
  }
  return {};
}

bool Block::excluded(const Point& point, const std::vector<Value>& values) const {
  return std::any_of(exclude_.begin(), exclude_.end(), [&](const Expression& where) {
    return where.holds(
        [&](std::size_t name) { return value_of(where.names()[name], point, values); });
  });
}

void Block::for_each(const std::function<void(const Point&)>& visit) {
  std::vector<Value> values(kFirstParameter + parameters_.size());
  for (std::uint64_t index = 0; index < size_; ++index) {
    std::uint64_t rest = index;
    for (auto axis = axes_.rbegin(); axis != axes_.rend(); ++axis) {
      const auto& row = axis->rows[rest % axis->rows.size()];
      rest /= axis->rows.size();
      for (std::size_t i = 0; i < row.size(); ++i) values[axis->slots[i]] = row[i];
    }
    const MethodChoice& choice = methods_[static_cast<std::size_t>(values[kMethod].number)];
    Point point;
    point.model = static_cast<std::uint32_t>(values[kModel].number);
    point.method = &choice.expression;
    point.place = &choice.place;
    if (values[kBits].number >= 0) {
      point.weight_bits = static_cast<int>(values[kBits].number / kBitsBase);
      point.activation_bits = static_cast<int>(values[kBits].number % kBitsBase);
    }
    if (values[kSeed].number >= 0) point.seed = values[kSeed].number;
    if (values[kCalibrationSeed].number >= 0) {
      point.calibration_seed = values[kCalibrationSeed].number;
    }
    point.calibration_data = static_cast<int>(values[kCalibrationData].number);
    for (const auto& steps : steps_of(values)) {
      point.steps = steps;
      if (!excluded(point, values)) visit(point);
    }
  }
}

}  // namespace assay::spec
