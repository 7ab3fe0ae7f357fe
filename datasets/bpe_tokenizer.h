#pragma once

#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "datasets/added_tokens.h"
#include "datasets/bpe.h"
#include "datasets/normalizer.h"
#include "datasets/pre_tokenizer.h"
#include "datasets/tokenizer.h"

namespace assay::datasets {

struct BpeTokenizerParts {
  std::vector<AddedToken> added;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer = PreTokenizer::gpt2(false);
  BpeTables tables;
  std::string space;           // what stands for a space in pieces; "": itself
  bool strips_prefix = false;  // decoding drops the space that encoding put in front
  std::optional<std::int32_t> bos;
  bool adds_bos = false;
};

// Special tokens, normalizer, pre-tokenizer and BPE one after the other, as in Hugging Face's
// tokenizers.
class BpeTokenizer : public Tokenizer {
 public:
  // Throws as Bpe.
  BpeTokenizer(BpeTokenizerParts parts, const std::string& what);

  Encoding encoding(std::string_view text) const override;
  std::string decode(std::span<const std::int32_t> ids) const override;
  std::int64_t vocabulary_size() const override { return size_; }
  std::optional<std::int32_t> bos() const override { return parts_.bos; }
  bool adds_bos() const override { return parts_.adds_bos; }

 private:
  class Encoder;

  BpeTokenizerParts parts_;
  std::string what_;
  Bpe bpe_;
  AddedTokenFinder raw_;         // added tokens that are sought in the text as it is
  AddedTokenFinder normalized_;  // those sought in the normalized text
  std::unordered_set<std::int32_t> added_ids_;
  std::int64_t size_ = 0;
};

}  // namespace assay::datasets
