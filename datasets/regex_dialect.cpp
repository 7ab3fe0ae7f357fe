#include "datasets/regex_dialect.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <vector>

#include "harness/base/error.h"

namespace assay::datasets {
namespace {

constexpr std::string_view kEscapedLetters = "pPsSdDrntfae";  // mean the same inside classes, too

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

class Translator {
 public:
  explicit Translator(std::string_view expression) : in_(expression) {}

  std::string translate() {
    while (at_ < in_.size()) step();
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::size_t at, std::string_view what, std::string_view why) const {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("the expression {} is not supported: '{}' at offset {} {}", in_, what,
                            at, why));
  }

  std::string_view rest() const { return in_.substr(at_); }

  void copy(std::size_t count) {
    out_ += in_.substr(at_, count);
    at_ += count;
  }

  void step() {
    const char c = in_[at_];
    if (c == '\\') {
      escape(/*in_class=*/false);
    } else if (c == '[') {
      character_class();
    } else if (c == '(') {
      group();
    } else if (c == ')') {
      if (!ignores_case_.empty()) ignores_case_.pop_back();
      copy(1);
    } else if (c == '^' || c == '$') {
      refuse(at_, rest().substr(0, 1), "means every line in Oniguruma, the text in PCRE2");
    } else if (c == '{') {
      counted();
    } else if (c == '*' || c == '+' || c == '?') {
      copy(1);
    } else {
      literal();
    }
  }

  bool ignores_case() const { return !ignores_case_.empty() && ignores_case_.back(); }

  // Under (?i) Oniguruma also matches letters that fold to several: "ss" is equal to a sharp s.
  void literal() {
    if (ignores_case()) {
      if (static_cast<unsigned char>(in_[at_]) >= 0x80) {
        refuse(at_, rest().substr(0, 1), "under (?i) may fold to several letters in Oniguruma");
      }
      std::string pair(rest().substr(0, 2));
      std::transform(pair.begin(), pair.end(), pair.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      for (const char* folded : {"ss", "ff", "fi", "fl", "st"}) {
        if (pair == folded) {
          refuse(at_, rest().substr(0, 2), "under (?i) is equal to one letter in Oniguruma");
        }
      }
    }
    copy(1);
  }

  // Escapes of letters and digits that both read alike; all other characters mean themselves.
  void escape(bool in_class) {
    if (at_ + 1 >= in_.size()) refuse(at_, "\\", "escapes nothing");
    const char c = in_[at_ + 1];
    if (!is_letter(c) && !is_digit(c)) return copy(2);
    const std::string_view shown = rest().substr(0, 2);
    if (c == 'x') return hexadecimal();
    if (!in_class && (c == 'A' || c == 'z')) return copy(2);
    if (kEscapedLetters.find(c) == std::string_view::npos) {
      refuse(at_, shown, "is read differently by Oniguruma and PCRE2, or by one of them only");
    }
    if ((c == 'p' || c == 'P') && (at_ + 2 >= in_.size() || in_[at_ + 2] != '{')) {
      refuse(at_, shown, "needs its property in braces, as in \\p{L}");
    }
    copy(2);
    if (c != 'p' && c != 'P') return;
    const std::size_t end = in_.find('}', at_);
    if (end == std::string_view::npos) refuse(at_, rest(), "lacks its '}'");
    copy(end + 1 - at_);
  }

  // \x{..}, or two digits of an ASCII character: above that Oniguruma means a byte.
  void hexadecimal() {
    if (at_ + 2 < in_.size() && in_[at_ + 2] == '{') {
      const std::size_t end = in_.find('}', at_);
      if (end == std::string_view::npos) refuse(at_, rest(), "lacks its '}'");
      return copy(end + 1 - at_);
    }
    const std::string_view digits = in_.substr(std::min(at_ + 2, in_.size()), 2);
    const bool two = digits.size() == 2 && std::isxdigit(static_cast<unsigned char>(digits[0])) &&
                     std::isxdigit(static_cast<unsigned char>(digits[1]));
    if (!two || digits[0] > '7') {
      refuse(at_, rest().substr(0, 4), "is no ASCII character; write \\x{..}");
    }
    copy(4);
  }

  // {n}, {n,} and {n,m}, lazy or not; "{,m}" and literal braces are read differently.
  void counted() {
    std::size_t end = at_ + 1;
    const auto digits = [&] {
      const std::size_t begin = end;
      while (end < in_.size() && is_digit(in_[end])) ++end;
      return end > begin;
    };
    bool range = false;
    bool valid = digits();
    if (valid && end < in_.size() && in_[end] == ',') {
      range = true;
      ++end;
      digits();
    }
    valid = valid && end < in_.size() && in_[end] == '}';
    const std::size_t after = end + 1;
    const char next = valid && after < in_.size() ? in_[after] : ' ';
    if (!valid) refuse(at_, "{", "is no {n}, {n,} or {n,m}; a brace that is meant is written \\{");
    if (next == '+' || (next == '?' && !range)) {
      refuse(at_, in_.substr(at_, after + 1 - at_), "is read differently by Oniguruma and PCRE2");
    }
    copy(after - at_);
  }

  void group() {
    bool ignores = ignores_case();
    std::size_t length = 1;
    if (rest().starts_with("(?i)")) {
      const bool starts_group = at_ == 0 || in_[at_ - 1] == '(' || in_[at_ - 1] == ':';
      if (!starts_group) refuse(at_, "(?i)", "is supported at the start of a group only");
      if (ignores_case_.empty()) ignores_case_.push_back(true);
      ignores_case_.back() = true;
      return copy(4);
    }
    if (rest().starts_with("(?i:")) {
      ignores = true;
      length = 4;
    } else if (rest().starts_with("(?<=") || rest().starts_with("(?<!")) {
      length = 4;
    } else if (rest().starts_with("(?:") || rest().starts_with("(?=") ||
               rest().starts_with("(?!") || rest().starts_with("(?>")) {
      length = 3;
    } else if (rest().starts_with("(?") || rest().starts_with("(*")) {
      refuse(at_, rest().substr(0, 3), "is no group that both Oniguruma and PCRE2 know alike");
    }
    copy(length);
    ignores_case_.push_back(ignores);
  }

  void character_class() {
    const std::size_t begin = at_;
    copy(1);
    if (at_ < in_.size() && in_[at_] == '^') copy(1);
    members(begin);
    copy(1);
  }

  // Everything up to the ']' of a class that began at `begin`.
  void members(std::size_t begin) {
    if (at_ < in_.size() && in_[at_] == ']') {
      refuse(begin, in_.substr(begin, at_ + 1 - begin),
             "is an empty class; write \\] for a bracket");
    }
    while (at_ < in_.size() && in_[at_] != ']') {
      if (in_[at_] == '\\') {
        escape(/*in_class=*/true);
      } else if (rest().starts_with("&&")) {
        refuse(at_, "&&", "intersects classes in Oniguruma and is two characters in PCRE2");
      } else if (in_[at_] == '[') {
        nested_class();
      } else {
        copy(1);
      }
    }
    if (at_ >= in_.size()) refuse(begin, in_.substr(begin), "lacks its ']'");
  }

  // A class within a class adds its members: the brackets go.
  void nested_class() {
    const std::size_t begin = at_;
    const char next = at_ + 1 < in_.size() ? in_[at_ + 1] : ' ';
    if (next == ':') {
      refuse(at_, "[:", "begins a bracket of POSIX; write a property such as \\p{P}");
    }
    if (next == '^') {
      refuse(at_, "[^", "is a negated class within a class, which PCRE2 does not have");
    }
    if (out_.ends_with('-') || next == '-') {
      refuse(at_, "[", "stands beside '-' within a class; write \\-");
    }
    ++at_;
    members(begin);
    if (out_.ends_with('-') || (at_ + 1 < in_.size() && in_[at_ + 1] == '-')) {
      refuse(at_, "]", "stands beside '-' within a class; write \\-");
    }
    ++at_;
  }

  std::string_view in_;
  std::size_t at_ = 0;
  std::string out_;
  std::vector<bool> ignores_case_;  // of the open groups
};

}  // namespace

std::string pcre2_expression(std::string_view expression) {
  return Translator(expression).translate();
}

}  // namespace assay::datasets
