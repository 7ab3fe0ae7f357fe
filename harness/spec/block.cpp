#include "harness/spec/block.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>

#include "harness/base/suggest.h"
#include "harness/spec/load.h"

namespace assay::spec {

const std::vector<std::string> Block::kAxisNames{"model", "method",           "bits",
                                                 "seed",  "calibration_seed", "calibration_data"};

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
    } else if (names_method(*member) && member->value.is_map()) {
      add_method_block(*member);
    } else if (slot_of(key, member->place)) {
      add_axis(key, member->value, member->place);
    } else if (names_method(*member)) {
      add_method_block(*member);
    } else {
      fields.refuse_key(*member);
    }
  }
  if (exclude == Exclude::kAllowed) {
    if (Node* rules = node.find("exclude")) read_exclude(*rules);
  }
  finish();
}

// A method may have a parameter of its own name: a map then holds parameters, anything else is the
// parameter's.
bool Block::names_method(const Member& member) const {
  return catalogue_.find_method(member.key) != nullptr;
}

void Block::add_method_block(Member& member) {
  const MethodDeclaration* method = catalogue_.find_method(member.key);
  const bool used = std::any_of(methods_.begin(), methods_.end(), [&](const MethodChoice& m) {
    return std::count(m.expression.methods.begin(), m.expression.methods.end(), method) > 0;
  });
  if (!used) {
    refuse(member.place,
           fmt::format("parameters of method '{}', which {} never uses; add it to 'method' or "
                       "remove them",
                       member.key, what_),
           member.key);
  }
  method_blocks_[member.key] = &member.value;
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

}  // namespace assay::spec
