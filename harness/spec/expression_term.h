#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "harness/base/json.h"
#include "harness/spec/expression.h"

namespace assay::spec {

// A node of an expression's syntax tree.
struct Expression::Term {
  enum class Kind { kOr, kAnd, kNot, kCompare, kIn, kName, kValue };

  Kind kind = Kind::kValue;
  std::size_t offset = 0;       // in the text, for errors
  std::string op;               // of kCompare
  std::size_t name = 0;         // of kName
  Json value;                   // of kValue
  std::vector<Term> arguments;  // of kIn: the value, then the list
};

// The tree of `text`. Names must be in `legal`; those that occur are added to `used`, and a kName
// holds its index there. Throws Error(kConfig) with the place in the text.
Expression::Term parse_expression(const std::string& text, const Place& place,
                                  const std::vector<std::string>& legal,
                                  std::vector<std::string>& used);

}  // namespace assay::spec
