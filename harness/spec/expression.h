#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/json.h"
#include "harness/spec/node.h"

namespace assay::spec {

// The language of `exclude: {where: ...}` and --only:
//
//   expression = conjunction {"or" conjunction}
//   conjunction = negation {"and" negation}
//   negation = "not" negation | "(" expression ")" | comparison
//   comparison = operand ("==" | "!=" | "<" | "<=" | ">" | ">=") operand | operand ["not"] "in"
//   list
//              | operand                       (a name that holds true or false)
//   operand = name | text in quotes | number | true | false | none
//   list = "[" or "(" operand {"," operand} "]" or ")"
//
// A name that a trial does not have is none: equal to none alone, and no comparison of order holds.
// Text and numbers do not compare: that is an error, not false.
//
//   const Expression where("w_bits == 4 and model in ['vit']", place, {"model", "w_bits"});
//   where.holds([&](std::size_t name) { return trial.value(where.names()[name]); });
class Expression {
 public:
  // `names`: what may be used; a name that is none of them is an error with the nearest. The place
  // is that of the first character. Throws Error(kConfig) with the place in the text.
  Expression(std::string text, Place place, const std::vector<std::string>& names);
  // The text of a scalar of a sweep.
  Expression(const Node& node, const std::vector<std::string>& names);
  ~Expression();
  Expression(Expression&&) noexcept;
  Expression& operator=(Expression&&) noexcept;

  // Values for the names, in the order of names(); null: the trial does not have it.
  using Lookup = std::function<Json(std::size_t name)>;
  bool holds(const Lookup& lookup) const;

  const std::string& text() const { return text_; }
  const Place& place() const { return place_; }
  // The names that the expression uses.
  const std::vector<std::string>& names() const { return names_; }

  struct Term;

 private:
  std::string text_;
  Place place_;
  std::vector<std::string> names_;
  std::unique_ptr<Term> root_;
};

}  // namespace assay::spec
