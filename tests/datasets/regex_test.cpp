#include "datasets/regex.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "datasets/byte_level.h"
#include "datasets/regex_dialect.h"
#include "tests/datasets/files_for_tests.h"

namespace assay::datasets {
namespace {

std::vector<std::string> matches(const std::string& expression, const std::string& text) {
  std::vector<std::string> found;
  Regex(expression).each_match(text, [&](std::size_t begin, std::size_t end) {
    found.push_back(text.substr(begin, end - begin));
  });
  return found;
}

TEST(RegexDialect, expressions_of_published_tokenizers_stay_as_they_are) {
  for (
      const char* expression :
      {kGpt2Expression,
       // Llama 3 and Qwen2
       R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
       // o200k
       R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
       // DeepSeek
       R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
       R"(\p{N}{1,3})", R"([一-龥぀-ゟ゠-ヿ]+)",
       R"(\x{4e00}|\x41|a{2,}?|(?<=a)b|(?>ab)c++)"}) {
    EXPECT_EQ(pcre2_expression(expression), expression);
    EXPECT_NO_THROW(Regex{expression});
  }
}

TEST(RegexDialect, a_class_within_a_class_adds_its_members) {
  // BLOOM's, where the inner brackets are a class in Oniguruma.
  EXPECT_EQ(pcre2_expression(R"( ?[^(\s|[.,!?…。，、।۔،])]+)"), R"( ?[^(\s|.,!?…。，、।۔،)]+)");
  EXPECT_EQ(matches("[a-c[0-9]]+", "ab12[x]9]"), (std::vector<std::string>{"ab12", "9"}));
  EXPECT_EQ(matches(R"([^\s[!?]]+)", "one! two?"), (std::vector<std::string>{"one", "two"}));
}

TEST(RegexDialect, what_the_engines_read_differently_is_refused_with_its_place) {
  const std::vector<std::pair<std::string, std::string>> refused{
      {R"([\p{L}&&[^\p{Han}]]+)", "'&&' at offset 6"},
      {"[a[^b]]", "'[^' at offset 2"},
      {"[[:punct:]]+", "'[:' at offset 1"},
      {"[a-[b]]", "'[' at offset 3"},
      {"[]a]", "'[]' at offset 0"},
      {"[abc", "'[abc' at offset 0"},
      {"^a", "'^' at offset 0"},
      {"a$", "'$' at offset 1"},
      {R"(\w+)", R"('\w' at offset 0)"},
      {R"([\w]+)", R"('\w' at offset 1)"},
      {R"(\bcat)", R"('\b' at offset 0)"},
      {R"(\h+)", R"('\h' at offset 0)"},
      {R"(\v)", R"('\v' at offset 0)"},
      {R"(a\Z)", R"('\Z' at offset 1)"},
      {R"((a)\1)", R"('\1' at offset 3)"},
      {R"(\xe4)", R"('\xe4' at offset 0)"},
      {R"(\pL)", R"('\p' at offset 0)"},
      {"l{,2}", "'{' at offset 1"},
      {"l{1,2}+", "'{1,2}+' at offset 1"},
      {"l{2}?", "'{2}?' at offset 1"},
      {"{", "'{' at offset 0"},
      {"(?i)ss", "'ss' at offset 4"},
      {"(?i:x(aFF))", "'FF' at offset 7"},
      {"(?i:é)", "may fold"},
      {"a(?i)b|c", "'(?i)' at offset 1"},
      {"(?m:.)", "'(?m' at offset 0"},
      {"(*UCP)a", "'(*U' at offset 0"},
      {"(?R)", "'(?R' at offset 0"},
      {"a\\", "'\\' at offset 1"},
  };
  for (const auto& [expression, message] : refused) {
    expect_error(ErrorKind::kUnsupported, message, [&] { Regex{expression}; });
  }
  EXPECT_NO_THROW(Regex{"(?i)a|s"});
  EXPECT_NO_THROW(Regex{"(?i:a)ss"});
}

TEST(Regex, an_expression_that_may_match_nothing_is_refused) {
  for (const char* expression : {"(?=a)", "a*", R"((?=(\d{3})+(?!\d)))", "(?<=a)(?!b)"}) {
    expect_error(ErrorKind::kUnsupported, "between two characters", [&] { Regex{expression}; });
  }
}

}  // namespace
}  // namespace assay::datasets
