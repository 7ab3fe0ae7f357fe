#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "datasets/tokenizer.h"

namespace assay::datasets {

// A tokenized split. File `tokens.safetensors`: ids I32 [T]; starts I64 [D + 1], where document d
// has the ids starts[d] .. starts[d + 1] - 1; bytes and words I32 [T]; metadata "bos" with the
// beginning-of-text id, if the tokenizer has one, and "adds_bos" if it puts that id in front of
// every document.
struct TokenSet {
  at::Tensor ids;  // int32 [T]
  // Bytes of its document that each id stands for (Encoding), and words, separated by white space,
  // that begin in them: int32 [T]. Their sums are the document's. An added beginning has none.
  at::Tensor bytes, words;
  std::vector<std::int64_t> starts;
  std::optional<std::int32_t> bos;
  bool adds_bos = false;

  std::int64_t size() const { return starts.empty() ? 0 : starts.back(); }
  std::int64_t documents() const {
    return starts.empty() ? 0 : static_cast<std::int64_t>(starts.size()) - 1;
  }
};

inline constexpr const char* kTokensFile = "tokens.safetensors";

// Each document tokenized whole, with the tokenizer's own beginning of text.
TokenSet tokenize(const Tokenizer& tokenizer, const std::vector<std::string>& documents);

// The same without the beginnings that the tokenizer added; one that the text spells out stays.
TokenSet without_added_beginnings(const TokenSet& tokens);

void write_tokens(const std::filesystem::path& file, const TokenSet& tokens);

// Throws Error(kData) naming the file if its parts do not fit together.
TokenSet read_tokens(const std::filesystem::path& file);

}  // namespace assay::datasets
