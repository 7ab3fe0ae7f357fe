#include "datasets/unicode_form.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <cstdlib>
#include <memory>

#include "harness/base/error.h"
#include "harness/base/utf8.h"

namespace assay::datasets {
namespace {

utf8proc_option_t options_of(UnicodeForm form) {
  int options = UTF8PROC_STABLE;
  options |= form == UnicodeForm::kNfc || form == UnicodeForm::kNfkc ? UTF8PROC_COMPOSE
                                                                     : UTF8PROC_DECOMPOSE;
  options |= form == UnicodeForm::kNfkc || form == UnicodeForm::kNfkd ? UTF8PROC_COMPAT : 0;
  return static_cast<utf8proc_option_t>(options);
}

bool is_ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }

// Length of the grapheme cluster at `begin`.
std::size_t cluster_length(std::string_view text, std::size_t begin) {
  CodePoint point = code_point_at(text, begin);
  std::size_t at = begin + point.length;
  utf8proc_int32_t state = 0;
  while (at < text.size()) {
    const CodePoint next = code_point_at(text, at);
    if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(point.value),
                                         static_cast<utf8proc_int32_t>(next.value), &state)) {
      break;
    }
    point = next;
    at += point.length;
  }
  return at - begin;
}

}  // namespace

std::string in_form(std::string_view text, UnicodeForm form) {
  utf8proc_uint8_t* bytes = nullptr;
  const utf8proc_ssize_t length = utf8proc_map(
      reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
      static_cast<utf8proc_ssize_t>(text.size()), &bytes, options_of(form));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(bytes, &std::free);
  if (length < 0) {
    throw Error(ErrorKind::kData, fmt::format("a text cannot be normalized: {}",
                                              utf8proc_errmsg(length)));
  }
  return {reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(length)};
}

AlignedText in_form(AlignedText text, UnicodeForm form) {
  Rewriter rewriter(std::move(text));
  const std::string_view all = rewriter.text();
  while (rewriter.at() < all.size()) {
    const std::size_t at = rewriter.at();
    // No form changes a character of ASCII, and none joins it to the one before.
    if (is_ascii(all[at]) && (at + 1 == all.size() || is_ascii(all[at + 1]))) {
      rewriter.keep(1);
      continue;
    }
    const std::size_t length = cluster_length(all, at);
    const std::string_view cluster = all.substr(at, length);
    const std::string normal = in_form(cluster, form);
    if (normal == cluster) {
      rewriter.keep(length);
    } else {
      rewriter.replace(length, normal);
    }
  }
  return std::move(rewriter).finish();
}

}  // namespace assay::datasets
