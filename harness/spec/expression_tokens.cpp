#include "harness/spec/expression_tokens.h"

#include <fmt/format.h>

#include <string_view>

namespace assay::spec {
namespace {

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

}  // namespace

std::vector<Token> tokens_of(const std::string& text, const Place& place) {
  return Lexer(text, place).tokens();
}

void refuse_at(const Place& place, const std::string& text, std::size_t offset,
               const std::string& problem) {
  Place at = place;
  if (text.find('\n') == std::string::npos) at.column += static_cast<int>(offset);
  const std::string shown = text.size() <= 120 ? text : text.substr(0, 120) + "...";
  refuse(at, fmt::format("{} (character {} of \"{}\")", problem, offset + 1, shown), text);
}

}  // namespace assay::spec
