#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "datasets/added_tokens.h"
#include "datasets/tokenizer_files.h"
#include "harness/base/json.h"

namespace assay::datasets {

// An id out of a file: an integer in 0 .. 2^24. Throws Error(kData) naming `what`.
std::int32_t id_value(const Json& value, const std::string& what);

// Which ids the files of a tokenizer give to whole tokens. Files that contradict each other are
// refused naming both, since libraries differ in which of them they believe.
class TokenIds {
 public:
  // A piece of the model's vocabulary, as the file writes it.
  void add_piece(const std::string& piece, std::int32_t id, const std::string& file);

  // A piece of a file that is not used, since the folder holds the tokenizer in two forms. Throws
  // Error(kData) naming both files if the piece has another id in the one that is.
  void check_piece(const std::string& piece, std::int32_t id, const std::string& file) const;

  // An added token. The first definition of a content decides about white space and normalization.
  // Throws Error(kData) naming both files if the content has another id elsewhere, or the id another
  // content; Error(kData) for an empty content.
  void add_token(AddedToken token);

  // The tokens that the files beside the vocabulary define: `added_tokens_decoder` of
  // tokenizer_config.json, added_tokens.json, and the special tokens that tokenizer_config.json and
  // special_tokens_map.json name by their content alone, or else `defaults` by role ("bos_token").
  void add_files(const TokenizerFiles& files, const std::map<std::string, std::string>& defaults);

  // In the order of their definition.
  const std::vector<AddedToken>& tokens() const { return tokens_; }
  // The id of a content; -1: none.
  std::int32_t id_of(const std::string& content) const;

 private:
  struct Owner {
    std::string content;
    std::size_t file = 0;  // index into files_
  };

  void add_decoder(const Json& decoder, const std::string& file);
  void add_named(const Json& value, const std::string& file);

  std::size_t index_of(const std::string& file);

  std::vector<std::string> files_;
  std::unordered_map<std::string, std::int32_t> ids_;
  std::unordered_map<std::int32_t, Owner> owners_;
  std::map<std::string, std::size_t> known_;  // content of an added token -> index
  std::vector<AddedToken> tokens_;
};

// The content of the special token of a role ("bos_token") in tokenizer_config.json, else in
// special_tokens_map.json; "" if they name none.
std::string special_token(const TokenizerFiles& files, const std::string& role);

// Throws Error(kData) for a file that asks for a beginning-of-text id where there is none. `named`:
// the token that it names; "": none.
[[noreturn]] void no_bos(const std::string& file, const std::string& named);

}  // namespace assay::datasets
