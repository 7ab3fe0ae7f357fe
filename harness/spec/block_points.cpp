#include <fmt/format.h>

#include "harness/spec/block.h"
#include "harness/spec/load.h"

// The points of a block: every combination of its axes and of what these leave open of the methods'
// parameters.

namespace assay::spec {
namespace {

constexpr std::size_t kMaxCombinations = 100'000;

// The parameters that a choice of method is given, each for one step of its expression.
class GivenParameters {
 public:
  GivenParameters(const MethodExpression& expression, ParameterUse& use)
      : expression_(expression), methods_(expression.methods), use_(use) {}

  // `single`: the node is one value, else it may be a list of values.
  void give(std::size_t step, const ParameterSchema& schema, Node& node, const Place& place,
            bool single) {
    const auto [found, inserted] = places_.try_emplace({step, schema.name}, place);
    if (!inserted) {
      refuse(place,
             fmt::format("parameter '{}' of {} is given twice, first at {}", schema.name,
                         methods_[step]->name, found->second.text()),
             schema.name);
    }
    use_.written(*methods_[step], schema, place);
    given_.push_back({step, schema.name,
                      single ? std::vector<Json>{parameter_value(schema, node)}
                             : parameter_values(schema, node)});
  }

  // `psaq_vit: {...}` beside the axes.
  void give_block(std::size_t step, Node& node) {
    Fields fields(node, fmt::format("parameters of method '{}'", methods_[step]->name));
    fields.allow(names_of(methods_[step]->parameters));
    for (Member* member : fields.rest()) {
      const auto* schema = find_schema(methods_[step]->parameters, member->key);
      if (schema == nullptr) fields.refuse_key(*member);
      give(step, *schema, member->value, member->place, false);
    }
  }

  // `{psaq_vit: {...}}` in the method itself. In a composition a member may be a step's block.
  void give_choice(Node& node) {
    Fields fields(node, fmt::format("parameters of method '{}'", expression_.text));
    for (const MethodDeclaration* method : methods_) fields.allow(names_of(method->parameters));
    for (Member* member : fields.rest()) {
      bool used = false;
      for (std::size_t step = 0; step < methods_.size(); ++step) {
        if (methods_.size() > 1 && methods_[step]->name == member->key) {
          give_block(step, member->value);
          used = true;
        } else if (const auto* schema = find_schema(methods_[step]->parameters, member->key)) {
          give(step, *schema, member->value, member->place, false);
          used = true;
        }
      }
      if (!used) fields.refuse_key(*member);
    }
  }

  // Number of combinations.
  std::size_t count(const Place& place) const {
    std::size_t count = 1;
    for (const Given& each : given_) {
      count *= each.values.size();
      if (count > kMaxCombinations) {
        refuse(place, fmt::format("more than {} combinations of parameters of '{}'",
                                  kMaxCombinations, expression_.text));
      }
    }
    return count;
  }

  // Parameters of each step in a combination; the first that was given varies slowest.
  std::vector<Json> combination(std::size_t index) const {
    std::vector<Json> parameters(methods_.size(), Json::object());
    for (auto each = given_.rbegin(); each != given_.rend(); ++each) {
      parameters[each->step][each->name] = each->values[index % each->values.size()];
      index /= each->values.size();
    }
    return parameters;
  }

 private:
  struct Given {
    std::size_t step;
    std::string name;
    std::vector<Json> values;
  };

  const MethodExpression& expression_;
  const std::vector<const MethodDeclaration*>& methods_;
  ParameterUse& use_;
  std::vector<Given> given_;
  std::map<std::pair<std::size_t, std::string>, Place> places_;
};

}  // namespace

// Every combination of the parameters that this choice of method leaves open.
Block::Steps Block::make_steps(const MethodChoice& choice, const std::vector<Value>& point) {
  const auto& methods = choice.expression.methods;
  GivenParameters given(choice.expression, use_);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const ParameterAxis& axis = parameters_[i];
    Node* value = point[kFirstParameter + i].node;
    if (value == nullptr) continue;
    for (std::size_t step = 0; step < methods.size(); ++step) {
      if (!axis.method.empty() && methods[step]->name != axis.method) continue;
      if (const auto* schema = find_schema(methods[step]->parameters, axis.parameter)) {
        given.give(step, *schema, *value, axis.place, true);
      }
    }
  }
  for (std::size_t step = 0; step < methods.size(); ++step) {
    const auto block = method_blocks_.find(methods[step]->name);
    if (block == method_blocks_.end() || block->second->is_null()) continue;
    given.give_block(step, *block->second);
  }
  if (choice.parameters != nullptr) given.give_choice(*choice.parameters);
  Steps combinations;
  const std::size_t count = given.count(choice.place);
  for (std::size_t index = 0; index < count; ++index) {
    const std::vector<Json> parameters = given.combination(index);
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
    if (const std::int64_t bits = values[kBits].number; bits >= 0) {
      point.bits = {.weights = static_cast<int>(bits / kBitsBase / kBitsBase),
                    .activations = static_cast<int>(bits / kBitsBase % kBitsBase),
                    .cache = static_cast<int>(bits % kBitsBase)};
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
