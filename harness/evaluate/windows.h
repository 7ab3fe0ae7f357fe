#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "datasets/token_set.h"

namespace assay::evaluate {

// How a tokenized text is cut into windows, each of which is an independent sample.
struct WindowProtocol {
  std::int64_t context = 2048;  // tokens a window holds, a beginning-of-text id included
  std::int64_t stride = 0;  // tokens from window to window; 0: without overlap. Smaller than the
                            // context, only the last `stride` tokens of each window are scored
  bool bos_every_window = false;  // a beginning-of-text id before every window
  std::string text = "stream";    // "stream": all documents as one row of tokens, an unfinished
                                  // window at the end dropped; "documents": no window crosses a
                                  // document, the last of each may be shorter
};

struct Window {
  std::int64_t begin = 0;   // first token, index into TokenSet::ids
  std::int64_t length = 0;  // tokens from there, without the added beginning of text
  std::int64_t scored = 0;  // the last so many of them are scored
  double words = 0;  // of the original text, in proportion to the tokens that the window adds
  double bytes = 0;
};

// Throws Error(kConfig) for a protocol that cannot be, or a text too short for one window.
std::vector<Window> cut_windows(const datasets::TokenSet& tokens, const WindowProtocol& protocol);

}  // namespace assay::evaluate
