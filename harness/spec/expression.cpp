#include "harness/spec/expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "harness/core/suggest.h"

namespace assay::spec {

struct Expression::Term {
  enum class Kind { kOr, kAnd, kNot, kCompare, kIn, kName, kValue };

  Kind kind = Kind::kValue;
  std::size_t offset = 0;       // in the text, for errors
  std::string op;               // of kCompare
  std::size_t name = 0;         // of kName
  Json value;                   // of kValue
  std::vector<Term> arguments;  // of kIn: the value, then the list
};

namespace {

using Term = Expression::Term;

constexpr std::size_t kMaxLength = 10'000;
constexpr int kMaxDepth = 40;

[[noreturn]] void refuse_at(const Place& place, const std::string& text, std::size_t offset,
                            const std::string& problem) {
  Place at = place;
  if (text.find('\n') == std::string::npos) at.column += static_cast<int>(offset);
  const std::string shown = text.size() <= 120 ? text : text.substr(0, 120) + "...";
  refuse(at, fmt::format("{} (character {} of \"{}\")", problem, offset + 1, shown), text);
}

struct Token {
  enum class Kind { kEnd, kName, kText, kNumber, kSymbol };

  Kind kind = Kind::kEnd;
  std::string text;
  std::size_t offset = 0;
};

bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  Lexer(const std::string& text, const Place& place) : text_(text), place_(place) {}

  std::vector<Token> tokens() {
    std::vector<Token> list;
    do {
      list.push_back(next());
    } while (list.back().kind != Token::Kind::kEnd);
    return list;
  }

 private:
  Token next() {
    while (at_ < text_.size() &&
           std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) {
      ++at_;
    }
    const std::size_t start = at_;
    if (at_ == text_.size()) return {Token::Kind::kEnd, "", start};
    const char c = text_[at_];
    if (c == '\'' || c == '"') return quoted(c);
    if (is_name_start(c)) {
      while (at_ < text_.size() &&
             (is_name_start(text_[at_]) || is_digit(text_[at_]) || text_[at_] == '.')) {
        ++at_;
      }
      return {Token::Kind::kName, text_.substr(start, at_ - start), start};
    }
    if (is_digit(c) || c == '-' || c == '.') {
      ++at_;
      while (at_ < text_.size() &&
             (is_digit(text_[at_]) || text_[at_] == '.' || text_[at_] == 'e' || text_[at_] == 'E' ||
              ((text_[at_] == '-' || text_[at_] == '+') &&
               (text_[at_ - 1] == 'e' || text_[at_ - 1] == 'E')))) {
        ++at_;
      }
      return {Token::Kind::kNumber, text_.substr(start, at_ - start), start};
    }
    for (const char* symbol : {"==", "!=", "<=", ">=", "<", ">", "(", ")", "[", "]", ","}) {
      if (text_.compare(at_, std::string_view(symbol).size(), symbol) == 0) {
        at_ += std::string_view(symbol).size();
        return {Token::Kind::kSymbol, symbol, start};
      }
    }
    refuse_at(place_, text_, at_,
              fmt::format("'{}' is not part of the language: == != < <= > >= in and or not ( )",
                          c == '=' ? "=" : text_.substr(at_, 1)));
  }

  Token quoted(char quote) {
    const std::size_t start = at_;
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string::npos) refuse_at(place_, text_, start, "a quote that is never closed");
    at_ = end + 1;
    return {Token::Kind::kText, text_.substr(start + 1, end - start - 1), start};
  }

  const std::string& text_;
  const Place& place_;
  std::size_t at_ = 0;
};

class Parser {
 public:
  Parser(const std::string& text, const Place& place, const std::vector<std::string>& legal,
         std::vector<std::string>& used)
      : text_(text),
        place_(place),
        legal_(legal),
        used_(used),
        tokens_(Lexer(text, place).tokens()) {}

  Term parse() {
    if (peek().kind == Token::Kind::kEnd) fail(peek(), "an empty expression");
    Term root = disjunction();
    if (peek().kind != Token::Kind::kEnd) {
      fail(peek(), fmt::format("expected 'and', 'or' or the end, not '{}'", peek().text));
    }
    return root;
  }

 private:
  const Token& peek() const { return tokens_[at_]; }
  bool is(std::string_view text, Token::Kind kind) const {
    return peek().kind == kind && peek().text == text;
  }
  bool accept(std::string_view text, Token::Kind kind = Token::Kind::kSymbol) {
    if (!is(text, kind)) return false;
    ++at_;
    return true;
  }
  [[noreturn]] void fail(const Token& token, const std::string& problem) const {
    refuse_at(place_, text_, token.offset, problem);
  }

  Term disjunction() {
    Term left = conjunction();
    while (is("or", Token::Kind::kName)) {
      const std::size_t offset = tokens_[at_++].offset;
      left = binary(Term::Kind::kOr, offset, std::move(left), conjunction());
    }
    return left;
  }

  Term conjunction() {
    Term left = negation();
    while (is("and", Token::Kind::kName)) {
      const std::size_t offset = tokens_[at_++].offset;
      left = binary(Term::Kind::kAnd, offset, std::move(left), negation());
    }
    return left;
  }

  Term binary(Term::Kind kind, std::size_t offset, Term left, Term right) {
    // A long chain stays flat, so that evaluation does not nest.
    if (left.kind == kind && right.kind != kind) {
      left.arguments.push_back(std::move(right));
      return left;
    }
    Term term;
    term.kind = kind;
    term.offset = offset;
    term.arguments.push_back(std::move(left));
    term.arguments.push_back(std::move(right));
    return term;
  }

  Term negation() {
    if (++depth_ > kMaxDepth) {
      fail(peek(), fmt::format("nested deeper than {} levels", kMaxDepth));
    }
    Term term;
    if (is("not", Token::Kind::kName)) {
      term.kind = Term::Kind::kNot;
      term.offset = tokens_[at_++].offset;
      term.arguments.push_back(negation());
    } else if (accept("(")) {
      term = disjunction();
      if (!accept(")")) fail(peek(), "expected ')'");
    } else {
      term = comparison();
    }
    --depth_;
    return term;
  }

  Term comparison() {
    Term left = operand();
    const Token token = peek();
    if (is("in", Token::Kind::kName) || is("not", Token::Kind::kName)) {
      ++at_;
      const bool inverted = token.text == "not";
      if (inverted && !accept("in", Token::Kind::kName)) fail(peek(), "expected 'in' after 'not'");
      Term term = membership(std::move(left), token.offset);
      if (!inverted) return term;
      Term negated;
      negated.kind = Term::Kind::kNot;
      negated.offset = token.offset;
      negated.arguments.push_back(std::move(term));
      return negated;
    }
    for (const char* op : {"==", "!=", "<=", ">=", "<", ">"}) {
      if (!accept(op)) continue;
      Term term;
      term.kind = Term::Kind::kCompare;
      term.offset = token.offset;
      term.op = op;
      term.arguments.push_back(std::move(left));
      term.arguments.push_back(operand());
      return term;
    }
    if (left.kind == Term::Kind::kValue && !left.value.is_boolean()) {
      fail(token, "expected a comparison (== != < <= > >= in)");
    }
    return left;
  }

  Term membership(Term left, std::size_t offset) {
    Term term;
    term.kind = Term::Kind::kIn;
    term.offset = offset;
    term.arguments.push_back(std::move(left));
    const bool square = accept("[");
    if (!square && !accept("(")) fail(peek(), "expected a list after 'in': [a, b]");
    const char* closing = square ? "]" : ")";
    while (!accept(closing)) {
      if (term.arguments.size() > 1 && !accept(",")) {
        fail(peek(), fmt::format("expected ',' or '{}'", closing));
      }
      term.arguments.push_back(operand());
    }
    return term;
  }

  Term operand() {
    const Token token = peek();
    Term term;
    term.offset = token.offset;
    switch (token.kind) {
      case Token::Kind::kText:
        term.value = token.text;
        break;
      case Token::Kind::kNumber:
        term.value = number(token);
        break;
      case Token::Kind::kName:
        if (token.text == "and" || token.text == "or" || token.text == "in" ||
            token.text == "not") {
          fail(token, fmt::format("expected a name or a value, not '{}'", token.text));
        }
        if (token.text == "true" || token.text == "false") {
          term.value = token.text == "true";
        } else if (token.text != "none" && token.text != "null") {
          term.kind = Term::Kind::kName;
          term.name = index_of(token);
        }
        break;
      case Token::Kind::kSymbol:
        fail(token, fmt::format("expected a name or a value, not '{}'", token.text));
      case Token::Kind::kEnd:
        fail(token, "the expression ends too early");
    }
    ++at_;
    return term;
  }

  Json number(const Token& token) const {
    const char* first = token.text.data();
    const char* last = first + token.text.size();
    std::int64_t integer = 0;
    if (const auto [end, error] = std::from_chars(first, last, integer);
        error == std::errc() && end == last) {
      return integer;
    }
    double real = 0;
    if (const auto [end, error] = std::from_chars(first, last, real);
        error == std::errc() && end == last) {
      return real;
    }
    fail(token, fmt::format("'{}' is not a number", token.text));
  }

  std::size_t index_of(const Token& token) {
    if (std::find(legal_.begin(), legal_.end(), token.text) == legal_.end()) {
      fail(token, fmt::format("unknown name '{}'{}; a text stands in quotes", token.text,
                              suggestion(token.text, legal_)));
    }
    const auto found = std::find(used_.begin(), used_.end(), token.text);
    if (found != used_.end()) return static_cast<std::size_t>(found - used_.begin());
    used_.push_back(token.text);
    return used_.size() - 1;
  }

  const std::string& text_;
  const Place& place_;
  const std::vector<std::string>& legal_;
  std::vector<std::string>& used_;
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

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
  root_ = std::make_unique<Term>(Parser(text_, place_, names, names_).parse());
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
