#include "harness/spec/expression.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/spec/expression_term.h"
#include "harness/spec/expression_tokens.h"

namespace assay::spec {
namespace {

using Term = Expression::Term;

constexpr std::size_t kMaxLength = 10'000;

const char* type_of(const Json& value) {
  if (value.is_string()) return "text";
  if (value.is_number()) return "a number";
  if (value.is_boolean()) return "true or false";
  return "a list";
}

class Evaluator {
 public:
  Evaluator(const std::string& text, const Place& place, const Expression::Lookup& lookup)
      : text_(text), place_(place), lookup_(lookup) {}

  bool holds(const Term& term) const {
    switch (term.kind) {
      case Term::Kind::kOr:
        return std::any_of(term.arguments.begin(), term.arguments.end(),
                           [&](const Term& t) { return holds(t); });
      case Term::Kind::kAnd:
        return std::all_of(term.arguments.begin(), term.arguments.end(),
                           [&](const Term& t) { return holds(t); });
      case Term::Kind::kNot:
        return !holds(term.arguments[0]);
      case Term::Kind::kCompare:
        return compare(term);
      case Term::Kind::kIn: {
        const Json value = value_of(term.arguments[0]);
        return std::any_of(term.arguments.begin() + 1, term.arguments.end(),
                           [&](const Term& t) { return equal(term, value, value_of(t)); });
      }
      case Term::Kind::kName:
      case Term::Kind::kValue: {
        const Json value = value_of(term);
        if (value.is_null()) return false;
        if (!value.is_boolean()) {
          refuse_at(
              place_, text_, term.offset,
              fmt::format("{} is {}; compare it with something", value.dump(), type_of(value)));
        }
        return value.get<bool>();
      }
    }
    return false;
  }

 private:
  Json value_of(const Term& term) const {
    return term.kind == Term::Kind::kName ? lookup_(term.name) : term.value;
  }

  void check_types(const Term& term, const Json& a, const Json& b) const {
    const bool same = (a.is_number() && b.is_number()) || (a.is_string() && b.is_string()) ||
                      (a.is_boolean() && b.is_boolean()) || (a.is_array() && b.is_array());
    if (!same) {
      refuse_at(place_, text_, term.offset,
                fmt::format("{} is {}, {} is {}: they do not compare", a.dump(), type_of(a),
                            b.dump(), type_of(b)));
    }
  }

  bool equal(const Term& term, const Json& a, const Json& b) const {
    if (a.is_null() || b.is_null()) return a.is_null() && b.is_null();
    check_types(term, a, b);
    return a == b;
  }

  bool compare(const Term& term) const {
    const Json a = value_of(term.arguments[0]);
    const Json b = value_of(term.arguments[1]);
    if (term.op == "==") return equal(term, a, b);
    if (term.op == "!=") return !equal(term, a, b);
    if (a.is_null() || b.is_null()) return false;
    check_types(term, a, b);
    if (term.op == "<") return a < b;
    if (term.op == "<=") return a <= b;
    if (term.op == ">") return a > b;
    return a >= b;
  }

  const std::string& text_;
  const Place& place_;
  const Expression::Lookup& lookup_;
};

// Where the first character of a scalar stands: behind the quote, if there is one.
Place start_of(const Node& node) {
  Place place = node.place;
  if (!node.plain && place.line > 0) ++place.column;
  return place;
}

}  // namespace

Expression::Expression(std::string text, Place place, const std::vector<std::string>& names)
    : text_(std::move(text)), place_(std::move(place)) {
  if (text_.size() > kMaxLength) {
    refuse(place_,
           fmt::format("an expression of {} characters; at most {}", text_.size(), kMaxLength));
  }
  root_ = std::make_unique<Term>(parse_expression(text_, place_, names, names_));
}

Expression::Expression(const Node& node, const std::vector<std::string>& names)
    : Expression(text_of(node, "where"), start_of(node), names) {}

Expression::~Expression() = default;
Expression::Expression(Expression&&) noexcept = default;
Expression& Expression::operator=(Expression&&) noexcept = default;

bool Expression::holds(const Lookup& lookup) const {
  return Evaluator(text_, place_, lookup).holds(*root_);
}

}  // namespace assay::spec
