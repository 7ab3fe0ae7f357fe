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
// has the ids starts[d] .. starts[d + 1] - 1; words and bytes I64 [D] of its text; metadata "bos"
// with the beginning-of-text id, if the tokenizer has one.
struct TokenSet {
  at::Tensor ids;  // int32 [T]
  std::vector<std::int64_t> starts;
  std::vector<std::int64_t> words;  // separated by white space
  std::vector<std::int64_t> bytes;
  std::optional<std::int32_t> bos;

  std::int64_t size() const { return starts.empty() ? 0 : starts.back(); }
  std::int64_t documents() const { return static_cast<std::int64_t>(words.size()); }
};

inline constexpr const char* kTokensFile = "tokens.safetensors";

// Each document tokenized whole, with the tokenizer's own beginning of text.
TokenSet tokenize(const Tokenizer& tokenizer, const std::vector<std::string>& documents);

void write_tokens(const std::filesystem::path& file, const TokenSet& tokens);

// Throws Error(kData) naming the file if its parts do not fit together.
TokenSet read_tokens(const std::filesystem::path& file);

}  // namespace assay::datasets
