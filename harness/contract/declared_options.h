#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "harness/base/enum_names.h"
#include "harness/contract/catalogue.h"
#include "harness/contract/stage_context.h"
#include "harness/contract/stage_parameters.h"

// Options of a stage, each written once. The struct that holds them visits them:
//
//   struct Options {
//     std::int64_t steps = 500;
//     quant::Granularity granularity = quant::Granularity::kChannel;
//     int weight_bits = kFloatBits;
//
//     void visit(OptionVisitor& option) {
//       option(steps, {.name = "steps", .unit = "iterations", .minimum = 1, .doc = "..."});
//       option(granularity, {.name = "granularity", .doc = "..."});
//       option.bits(weight_bits, "w_bits");
//     }
//   };
//
//   schemas_of<Options>()            // MethodDeclaration::parameters
//   names_of<Options>()              // StageDeclaration::reads
//   options_from<Options>(context)   // in the stage's body
//
// The member's type is the parameter's, its initial value the default. Structs may visit others:
// what two stages share is a struct that both hold.

namespace assay {

class OptionVisitor {
 public:
  virtual ~OptionVisitor() = default;

  void operator()(bool& value, ParameterSchema schema) { visit(&value, std::move(schema)); }
  void operator()(std::int64_t& value, ParameterSchema schema) { visit(&value, std::move(schema)); }
  void operator()(double& value, ParameterSchema schema) { visit(&value, std::move(schema)); }
  void operator()(std::string& value, ParameterSchema schema) { visit(&value, std::move(schema)); }
  void operator()(std::vector<std::int64_t>& value, ParameterSchema schema) {
    visit(&value, std::move(schema));
  }

  // Its legal names are those of `choices`, or of the enumeration if `choices` is empty.
  template <typename Enum>
  requires std::is_enum_v<Enum>
  void operator()(Enum& value, ParameterSchema schema) {
    if (schema.choices.empty()) schema.choices = enum_choices<Enum>();
    std::string name(enum_name(value));
    visit(&name, schema);
    value = enum_from<Enum>(name, schema.name);
  }

  // The trial's bits, "w_bits", "a_bits" or "kv_bits": 1 to 15, or kFloatBits. They are no parameter of the
  // method.
  virtual void bits(int& value, const char* name) = 0;

 protected:
  using Target =
      std::variant<bool*, std::int64_t*, double*, std::string*, std::vector<std::int64_t>*>;
  virtual void visit(Target target, ParameterSchema schema) = 0;
};

// What a struct declares: its schemas, and the names of all that it reads.
class OptionDeclarations : public OptionVisitor {
 public:
  void bits(int& value, const char* name) override;

  std::vector<ParameterSchema> schemas;
  std::vector<std::string> names;

 protected:
  void visit(Target target, ParameterSchema schema) override;
};

// Sets options from a recipe's parameters. Throws Error(kConfig) naming a parameter that is
// missing, or whose value does not fit: the planner checks what a sweep gives, so the recipe is
// from elsewhere.
class OptionReader : public OptionVisitor {
 public:
  explicit OptionReader(StageParameters values) : values_(values) {}
  void bits(int& value, const char* name) override;

 protected:
  void visit(Target target, ParameterSchema schema) override;

 private:
  StageParameters values_;
};

template <typename... Options>
OptionDeclarations declared() {
  OptionDeclarations declarations;
  (Options().visit(declarations), ...);
  return declarations;
}

template <typename... Options>
std::vector<ParameterSchema> schemas_of() {
  return declared<Options...>().schemas;
}

template <typename... Options>
std::vector<std::string> names_of() {
  return declared<Options...>().names;
}

// `Source`: a stage's context, or the parameters themselves.
template <typename Options, typename Source>
Options options_from(const Source& source) {
  Options options;
  OptionReader reader{StageParameters(source)};
  options.visit(reader);
  return options;
}

}  // namespace assay
