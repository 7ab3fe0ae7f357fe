#pragma once

#include <string>
#include <string_view>

namespace assay::datasets {

// The expressions of tokenizer.json are written for Oniguruma, which Hugging Face's tokenizers use
// (its Ruby syntax over UTF-8). Returns one that PCRE2 (PCRE2_UTF | PCRE2_UCP) reads the same way:
// nested character classes become part of the outer one. Throws Error(kUnsupported), naming the
// construct and its offset in bytes, for what the two read differently or what only one has: class
// intersections, anchors at lines, \w, \b, \h, POSIX brackets, back references, verbs, and so on.
std::string pcre2_expression(std::string_view expression);

}  // namespace assay::datasets
