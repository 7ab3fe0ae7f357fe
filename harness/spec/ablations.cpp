#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "harness/base/suggest.h"
#include "harness/spec/load.h"
#include "harness/spec/trials.h"

namespace assay::spec {
namespace {

constexpr std::size_t kMaxSwitches = 12;  // 4096 combinations
constexpr std::uint64_t kMaxBasePoints = 10'000;

// A parameter of one step of the base.
struct Target {
  std::size_t step = 0;
  const ParameterSchema* schema = nullptr;
};

struct Change {
  Target target;
  Json value;
};

struct Variant {
  std::string name;
  std::vector<Change> changes;
};

struct Switch {
  std::string name;
  Target target;
  Place place;
};

// Finds "swing" or "genie.swing" among the parameters of the base's methods.
Target find_target(const MethodExpression& expression, const std::string& name) {
  const std::size_t dot = name.find('.');
  const std::string parameter = dot == std::string::npos ? name : name.substr(dot + 1);
  for (std::size_t step = 0; step < expression.methods.size(); ++step) {
    const MethodDeclaration& method = *expression.methods[step];
    if (dot != std::string::npos && method.name != name.substr(0, dot)) continue;
    if (const auto* schema = find_schema(method.parameters, parameter)) return {step, schema};
  }
  return {};
}

std::vector<Switch> switches_from(Node& node, const MethodExpression& expression,
                                  ParameterUse& use) {
  std::vector<std::string> legal;
  for (const MethodDeclaration* method : expression.methods) {
    legal.insert(legal.end(), method->switches.begin(), method->switches.end());
  }
  std::vector<Switch> switches;
  for (Node* item : list_of(node, "without")) {
    const std::string& name = text_of(*item, "a switch");
    const Target target = find_target(expression, name);
    const bool declared = target.schema != nullptr &&
                          std::find(legal.begin(), legal.end(), target.schema->name) != legal.end();
    if (!declared || target.schema->type != ParameterType::kBool) {
      refuse(item->place,
             fmt::format("'{}' is not a switch of method '{}'{}", name, expression.text,
                         suggestion(name, legal)),
             name);
    }
    const bool again = std::any_of(switches.begin(), switches.end(), [&](const Switch& s) {
      return s.target.step == target.step && s.target.schema == target.schema;
    });
    if (again) refuse(item->place, fmt::format("switch '{}' stands twice", name), name);
    use.written(*expression.methods[target.step], *target.schema, item->place);
    switches.push_back({name, target, item->place});
  }
  if (switches.size() > kMaxSwitches) {
    refuse(node.place, fmt::format("{} switches; at most {}", switches.size(), kMaxSwitches));
  }
  return switches;
}

// The variant in which exactly the switches of `off` are off.
Variant variant_without(const std::vector<Switch>& switches, std::uint32_t off,
                        const std::string& name) {
  Variant variant{name, {}};
  for (std::size_t i = 0; i < switches.size(); ++i) {
    variant.changes.push_back({switches[i].target, (off >> i & 1U) == 0});
  }
  return variant;
}

std::vector<Variant> switch_variants(const std::vector<Switch>& switches, const std::string& mode) {
  std::vector<Variant> variants;
  const std::uint32_t all = (1U << switches.size()) - 1;
  if (mode == "loo") {
    for (std::size_t i = 0; i < switches.size(); ++i) {
      variants.push_back(variant_without(switches, 1U << i, "without " + switches[i].name));
    }
  } else if (mode == "add_one") {
    variants.push_back(variant_without(switches, all, "without all"));
    for (std::size_t i = 0; i < switches.size(); ++i) {
      variants.push_back(variant_without(switches, all & ~(1U << i), "only " + switches[i].name));
    }
  } else {
    for (std::uint32_t off = 1; off <= all; ++off) {
      std::string name = "without";
      for (std::size_t i = 0; i < switches.size(); ++i) {
        if ((off >> i & 1U) != 0) name += " " + switches[i].name;
      }
      variants.push_back(variant_without(switches, off, name));
    }
  }
  return variants;
}

std::vector<Variant> varied(Node& node, const MethodExpression& expression, ParameterUse& use) {
  std::vector<Variant> variants;
  Fields fields(node, "vary");
  for (const MethodDeclaration* method : expression.methods) {
    fields.allow(names_of(method->parameters));
  }
  for (Member* member : fields.rest()) {
    const Target target = find_target(expression, member->key);
    if (target.schema == nullptr) fields.refuse_key(*member);
    use.written(*expression.methods[target.step], *target.schema, member->place);
    for (const Json& value : parameter_values(*target.schema, member->value)) {
      variants.push_back({fmt::format("{} = {}", member->key,
                                      value.is_string() ? value.get<std::string>() : value.dump()),
                          {{target, value}}});
    }
  }
  return variants;
}

std::string mode_from(Fields& fields) {
  static const std::vector<std::string> kModes{"loo", "add_one", "factorial"};
  Node* given = fields.take("mode");
  if (given == nullptr) return kModes.front();
  const std::string mode = text_of(*given, "mode");
  if (std::find(kModes.begin(), kModes.end(), mode) == kModes.end()) {
    refuse(given->place,
           fmt::format("unknown mode '{}' (loo: each switch off in turn, add_one: each on alone, "
                       "factorial: all combinations){}",
                       mode, suggestion(mode, kModes)),
           mode);
  }
  return mode;
}

void check_base(const Block& base, const Place& place) {
  if (base.methods().size() != 1) refuse(place, "the base of an ablation has one method");
  if (base.size() > kMaxBasePoints) {
    refuse(place, fmt::format("the base of an ablation has more than {} points", kMaxBasePoints));
  }
}

// A switch that the base turns off cannot be taken away.
void check_switches(const std::vector<Switch>& switches, const Point& point,
                    const StepTable& steps) {
  for (const Switch& each : switches) {
    const MethodStep& step = steps[point.steps[each.target.step]];
    if (step.parameters.at(each.target.schema->name).get<bool>()) continue;
    refuse(
        each.place,
        fmt::format("switch '{}' is off in the base already; it cannot be taken away", each.name),
        each.name);
  }
}

void load_one(Node& node, const std::string& default_name, const Catalogue& catalogue,
              TrialTable& table, const Sweep& sweep, std::set<std::string>& names) {
  Fields fields(node, default_name);
  std::string name = default_name;
  if (Node* given = fields.take("name")) {
    name = text_of(*given, "name");
    check_name(name, given->place, "ablation");
  }
  if (!names.insert(name).second) {
    refuse(node.place, fmt::format("two ablations are named '{}'; give each a 'name'", name), name);
  }
  Node& base_node = fields.require("base");
  const std::string mode = mode_from(fields);
  Node* without = fields.take("without");
  Node* vary = fields.take("vary");
  fields.finish();
  if (without == nullptr && vary == nullptr) {
    refuse(node.place,
           "an ablation needs 'without' (switches to turn off) or 'vary' (parameter: values)");
  }

  Block base(base_node, "base", Block::Exclude::kForbidden, catalogue, sweep, table.steps());
  check_base(base, base_node.place);
  const MethodExpression& expression = base.methods()[0].expression;
  std::vector<Switch> switches;
  std::vector<Variant> variants{{"base", {}}};
  if (without != nullptr) {
    switches = switches_from(*without, expression, base.use());
    for (Variant& v : switch_variants(switches, mode)) variants.push_back(std::move(v));
  }
  if (vary != nullptr) {
    for (Variant& v : varied(*vary, expression, base.use())) variants.push_back(std::move(v));
  }
  base.for_each([&](const Point& point) {
    check_switches(switches, point, table.steps());
    for (const Variant& variant : variants) {
      Point changed = point;
      for (const Change& change : variant.changes) {
        std::uint32_t& step = changed.steps[change.target.step];
        Json parameters = table.steps()[step].parameters;
        parameters[change.target.schema->name] = change.value;
        step = table.steps().intern(*expression.methods[change.target.step], parameters,
                                    base_node.place);
      }
      const AblationTag tag{name, variant.name};
      table.add(changed, &tag, base.use());
    }
  });
  base.use().check("the ablation");
}

}  // namespace

void load_ablations(Node& node, const Catalogue& catalogue, TrialTable& table, const Sweep& sweep) {
  std::set<std::string> names;
  if (!node.is_list()) {
    load_one(node, "ablate", catalogue, table, sweep, names);
    return;
  }
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    load_one(node.items[i], fmt::format("ablate[{}]", i), catalogue, table, sweep, names);
  }
}

}  // namespace assay::spec
