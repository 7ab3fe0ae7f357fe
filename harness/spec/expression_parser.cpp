#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "harness/base/suggest.h"
#include "harness/spec/expression_term.h"
#include "harness/spec/expression_tokens.h"

namespace assay::spec {
namespace {

using Term = Expression::Term;

constexpr int kMaxDepth = 40;

class Parser {
 public:
  Parser(const std::string& text, const Place& place, const std::vector<std::string>& legal,
         std::vector<std::string>& used)
      : text_(text), place_(place), legal_(legal), used_(used), tokens_(tokens_of(text, place)) {}

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

}  // namespace

Expression::Term parse_expression(const std::string& text, const Place& place,
                                  const std::vector<std::string>& legal,
                                  std::vector<std::string>& used) {
  return Parser(text, place, legal, used).parse();
}

}  // namespace assay::spec
