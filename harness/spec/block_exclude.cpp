#include <fmt/format.h>

#include "harness/spec/block.h"

// The points that a block leaves out.

namespace assay::spec {

void Block::read_exclude(Node& node) {
  std::vector<std::string> legal = kAxisNames;
  for (const char* name : {"w_bits", "a_bits", "kv_bits", "family", "task"}) legal.emplace_back(name);
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
  if (name == "bits") return point.bits ? Json(text_of(*point.bits)) : Json();
  if (int Bits::*const member = bits_named(name)) {
    return point.bits ? Json((*point.bits).*member) : Json();
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

bool Block::excluded(const Point& point, const std::vector<Value>& values) {
  excludes_.resize(exclude_.size());
  bool excluded = false;
  for (std::size_t i = 0; i < exclude_.size(); ++i) {
    if (excluded && excludes_[i]) continue;
    const Expression& where = exclude_[i];
    const bool holds =
        where.holds([&](std::size_t name) { return value_of(where.names()[name], point, values); });
    if (holds) excludes_[i] = true;
    excluded = excluded || holds;
  }
  return excluded;
}

std::vector<std::string> Block::idle_rules() const {
  std::vector<std::string> idle;
  for (std::size_t i = 0; i < excludes_.size(); ++i) {
    if (excludes_[i]) continue;
    idle.push_back(fmt::format("{}: exclude: \"{}\" leaves out nothing", exclude_[i].place().text(),
                               exclude_[i].text()));
  }
  return idle;
}

}  // namespace assay::spec
