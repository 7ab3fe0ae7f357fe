#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "harness/core/input_file.h"

namespace assay::datasets {

// Text to token ids and back. Immutable: any thread may use it.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Ids of a text without the beginning-of-text id. Special tokens written out in the text become
  // their ids, as Hugging Face tokenizers do. Throws Error(kData) if the text is not UTF-8.
  virtual std::vector<std::int32_t> encode(std::string_view text) const = 0;

  // The text of ids; special tokens are left out. decode(encode(x)) = x except where the tokenizer
  // itself normalises. Throws Error(kData) for an id outside the vocabulary.
  virtual std::string decode(std::span<const std::int32_t> ids) const = 0;

  // One more than the largest id.
  virtual std::int64_t vocabulary_size() const = 0;

  // The beginning-of-text id, if there is one, and whether the tokenizer puts it once in front of a
  // text by itself.
  virtual std::optional<std::int32_t> bos() const { return std::nullopt; }
  virtual bool adds_bos() const { return false; }

  // encode(text), with the beginning-of-text id in front where the tokenizer has that habit.
  std::vector<std::int32_t> encode_text(std::string_view text) const;
};

// The tokenizer of a checkpoint, of the files of role "tokenizer" in `files` (see
// harness/core/checkpoint_layout.h). The first of these that is there:
//   tokenizer.json             byte-level or character BPE in the form of Hugging Face
//   tokenizer.model (*.model)  SentencePiece
//   vocab.json, merges.txt     byte-level BPE with GPT-2's expression (GPT-2, OPT)
//   encoder.json, vocab.bpe    the same under the original names
//   none                       bytes, if config.json says vocab_size 256
// tokenizer_config.json among them decides about the beginning-of-text id. Throws Error(kData) for
// malformed or changed files, Error(kUnsupported) naming the part of a tokenizer.json that is not
// offered, Error(kConfig) if there is no tokenizer.
std::unique_ptr<const Tokenizer> open_tokenizer(const FileSet& files);

// Ids are byte values.
std::unique_ptr<const Tokenizer> byte_tokenizer();

}  // namespace assay::datasets
