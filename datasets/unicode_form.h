#pragma once

#include <string>
#include <string_view>

#include "datasets/aligned_text.h"

namespace assay::datasets {

// Unicode's normalization forms (Unicode Standard Annex 15), by utf8proc.
enum class UnicodeForm { kNfc, kNfd, kNfkc, kNfkd };

// A valid text in that form.
std::string in_form(std::string_view text, UnicodeForm form);

// The same character by character: what a change replaces is one grapheme cluster, beyond which no
// form looks. Text that the form leaves alone keeps its bytes.
AlignedText in_form(AlignedText text, UnicodeForm form);

}  // namespace assay::datasets
