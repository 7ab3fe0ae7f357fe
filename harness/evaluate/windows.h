#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "datasets/token_set.h"

namespace assay::evaluate {

// How a tokenized text is cut into windows, each of which is an independent sample.
struct WindowProtocol {
  std::int64_t context = 2048;  // tokens a window holds, a beginning-of-text id included
  std::int64_t stride = 0;  // tokens from window to window; 0: without overlap. Smaller than the
                            // context, only the last `stride` tokens of each window are scored
  std::string bos = "tokenizer";  // where beginning-of-text ids stand, see bos_rules()
  std::string text = "stream";    // "stream": all documents as one row of tokens, an unfinished
                                  // window at the end dropped; "documents": no window crosses a
                                  // document, the last of each may be shorter
};

// Legal values of WindowProtocol::bos:
//   tokenizer     "once" if the tokenizer puts its id in front of a text by itself, else "none"
//   once          at the start of the text (of every document with windows over documents)
//   every_window  at the start of every window
//   none          nowhere
// The id never stands twice at a start: where the text spells it out itself, none is added. An
// added one is never scored.
const std::vector<std::string>& bos_rules();

struct Window {
  std::int64_t begin = 0;   // first token, index into WindowedText::ids
  std::int64_t length = 0;  // tokens from there, without an added beginning of text
  std::int64_t scored = 0;  // the last so many of them are scored
  bool bos = false;         // a beginning-of-text id is added in front
  std::int64_t words = 0;   // of the original text, that begin in the scored tokens
  std::int64_t bytes = 0;   // of the original text, that the scored tokens stand for

  std::int64_t size() const { return length + (bos ? 1 : 0); }
};

// A text and its windows, with the protocol as it is in effect.
struct WindowedText {
  at::Tensor ids;  // int32 [T], without beginnings that the tokenizer added
  std::optional<std::int32_t> bos;
  std::vector<Window> windows;  // in text order
  std::int64_t context = 0;
  std::int64_t stride = 0;  // tokens of the text from window to window, also without overlap
  std::string bos_rule;     // "once", "every_window" or "none"
};

// Throws Error(kConfig) for a protocol that cannot be; `has_bos`: the tokenizer has a
// beginning-of-text id.
void check_protocol(const WindowProtocol& protocol, bool has_bos);

// Throws as check_protocol() does, and Error(kConfig) for a text too short for one window.
WindowedText cut_windows(const datasets::TokenSet& tokens, const WindowProtocol& protocol);

}  // namespace assay::evaluate
