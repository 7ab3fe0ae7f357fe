#include <fmt/format.h>

#include "harness/spec/block.h"
#include "harness/spec/load.h"

// The points of a block: every combination of its axes and of what these leave open of the methods'
// parameters.

namespace assay::spec {
namespace {

constexpr std::size_t kMaxCombinations = 100'000;

}  // namespace

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
    use_.written(*methods[step], schema, place);
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
