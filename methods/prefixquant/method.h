#pragma once

#include "methods/method.h"

// PrefixQuant without its fine-tuning: the tokens that are outliers most often stand before every
// sequence. Rounds nothing: another method does, behind the prefix. Stage: prefixquant.prefix.

namespace assay {

Method prefixquant_method();

}  // namespace assay

namespace assay::prefixquant {

// Runs the method on a tiny network with a planted attention sink.
void canary();

}  // namespace assay::prefixquant
