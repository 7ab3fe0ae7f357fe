#include "datasets/regex.h"

#include <fmt/format.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>

#include "datasets/regex_dialect.h"
#include "harness/base/error.h"
#include "harness/base/utf8.h"

namespace assay::datasets {

struct Regex::Code {
  pcre2_code* code = nullptr;
  std::string pattern;

  Code() = default;
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() { pcre2_code_free(code); }
};

namespace {

std::string reason(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof(text));
  return reinterpret_cast<const char*>(text);
}

struct MatchData {
  pcre2_match_data* data;
  explicit MatchData(const pcre2_code* code)
      : data(pcre2_match_data_create_from_pattern(code, nullptr)) {}
  MatchData(const MatchData&) = delete;
  MatchData& operator=(const MatchData&) = delete;
  ~MatchData() { pcre2_match_data_free(data); }
};

}  // namespace

Regex::Regex(const std::string& pattern) : code_(std::make_unique<Code>()) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  code_->pattern = pattern;
  const std::string expression = pcre2_expression(pattern);
  code_->code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr);
  if (code_->code == nullptr) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("the expression {} is not supported: {} at offset {}", pattern,
                            reason(error), offset));
  }
  std::uint32_t matches_nothing = 0;
  pcre2_pattern_info(code_->code, PCRE2_INFO_MATCHEMPTY, &matches_nothing);
  if (matches_nothing != 0) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("the expression {} is not supported: it may match between two "
                            "characters, where Hugging Face's tokenizers split",
                            pattern));
  }
  // Where there is no just-in-time compiler the interpreter gives the same matches.
  pcre2_jit_compile(code_->code, PCRE2_JIT_COMPLETE);
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

void Regex::each_match(std::string_view text,
                       const std::function<void(std::size_t, std::size_t)>& found) const {
  const MatchData match(code_->code);
  std::size_t at = 0;
  while (at < text.size()) {
    // The text was checked once; PCRE2 would check it all again at every match.
    const int code = pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.data()),
                                 text.size(), at, PCRE2_NO_UTF_CHECK, match.data, nullptr);
    if (code == PCRE2_ERROR_NOMATCH) {
      return;
    }
    if (code < 0) {
      throw Error(ErrorKind::kData, fmt::format("the expression {} failed on a text: {}",
                                                code_->pattern, reason(code)));
    }
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(match.data);
    if (ends[1] > ends[0] && ends[0] >= at) {
      found(ends[0], ends[1]);
      at = ends[1];
    } else {
      at = std::max(at, ends[1]);
      at += at < text.size() ? code_point_at(text, at).length : 1;
    }
  }
}

}  // namespace assay::datasets
