#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "datasets/bpe.h"
#include "datasets/pre_tokenizer.h"
#include "datasets/tokenizer.h"

namespace assay::datasets {

// A token that is found in the text before anything else.
struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  bool strips_left = false;  // takes white space beside it along
  bool strips_right = false;
};

// A change of the text before it is cut: `from` is replaced by `to`, or with `from` empty, `to` is
// put in front of a text that is not empty.
struct NormalizerStep {
  std::string from;
  std::string to;
};

struct BpeTokenizerParts {
  std::vector<AddedToken> added;
  std::vector<NormalizerStep> normalizer;
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
  // Throws as Bpe, and Error(kData) for an added token that is empty.
  BpeTokenizer(BpeTokenizerParts parts, const std::string& what);

  std::vector<std::int32_t> encode(std::string_view text) const override;
  std::string decode(std::span<const std::int32_t> ids) const override;
  std::int64_t vocabulary_size() const override { return size_; }
  std::optional<std::int32_t> bos() const override { return parts_.bos; }
  bool adds_bos() const override { return parts_.adds_bos; }

 private:
  class Encoder;
  const AddedToken* added_at(std::string_view text, std::size_t at) const;

  BpeTokenizerParts parts_;
  std::string what_;
  Bpe bpe_;
  std::array<std::vector<std::size_t>, 256> added_by_byte_;  // longest first
  std::int64_t size_ = 0;
};

}  // namespace assay::datasets
