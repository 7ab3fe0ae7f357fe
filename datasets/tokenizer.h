#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "harness/formats/input_file.h"

namespace assay::datasets {

// Ids of a text, and how many of its bytes are used up after each: id i stands for the bytes
// [ends[i - 1], ends[i]), so that together they stand for all bytes up to the last end. An id that
// stands for no text of its own (a space that the tokenizer puts in front) has none. Bytes that a
// tokenizer drops belong to the id after them, those of a character that it changes to the last id
// of what the character became.
struct Encoding {
  std::vector<std::int32_t> ids;
  std::vector<std::size_t> ends;

  void add(std::int32_t id, std::size_t end) {
    ids.push_back(id);
    ends.push_back(end);
  }
};

// Text to token ids and back. Immutable: any thread may use it.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // A text without the beginning-of-text id. Special tokens written out in the text become their
  // ids, as Hugging Face tokenizers do. Throws Error(kData) if the text is not UTF-8 or holds a
  // special token that has no id.
  virtual Encoding encoding(std::string_view text) const = 0;

  // Its ids.
  std::vector<std::int32_t> encode(std::string_view text) const { return encoding(text).ids; }

  // The text of ids; special tokens are left out. decode(encode(x)) = x except where the tokenizer
  // itself normalises. Throws Error(kData) for an id outside the vocabulary.
  virtual std::string decode(std::span<const std::int32_t> ids) const = 0;

  // One more than the largest id.
  virtual std::int64_t vocabulary_size() const = 0;

  // The beginning-of-text id, if there is one, and whether the tokenizer puts it once in front of a
  // text by itself.
  virtual std::optional<std::int32_t> bos() const { return std::nullopt; }
  virtual bool adds_bos() const { return false; }

  // encoding(text), with the beginning-of-text id in front where the tokenizer has that habit and
  // the text does not begin with it already.
  Encoding encoding_of_text(std::string_view text) const;
  std::vector<std::int32_t> encode_text(std::string_view text) const {
    return encoding_of_text(text).ids;
  }
};

// The tokenizer of a checkpoint, of the files of role "tokenizer" in `files` (see
// harness/formats/checkpoint_layout.h). The first of these that is there:
//   tokenizer.json             byte-level or character BPE in the form of Hugging Face
//   tokenizer.model (*.model)  SentencePiece
//   vocab.json, merges.txt     byte-level BPE with GPT-2's expression (GPT-2, OPT)
//   encoder.json, vocab.bpe    the same under the original names
//   none                       bytes, if config.json says vocab_size 256
// The files beside them have their say: tokenizer_config.json about the beginning-of-text id and,
// with special_tokens_map.json and added_tokens.json, about added and special tokens. Throws
// Error(kData) for malformed or changed files and for files that give one token two ids or one id
// two tokens, naming both; Error(kUnsupported) naming the part or the class of tokenizers that is
// not supported; Error(kConfig) if there is no tokenizer.
std::unique_ptr<const Tokenizer> open_tokenizer(const FileSet& files);

// Ids are byte values.
std::unique_ptr<const Tokenizer> byte_tokenizer();

}  // namespace assay::datasets
