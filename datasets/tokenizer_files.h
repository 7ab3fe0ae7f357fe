#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "datasets/added_tokens.h"
#include "datasets/tokenizer.h"
#include "harness/base/json.h"
#include "harness/formats/input_file.h"

// The forms that open_tokenizer() knows.

namespace assay::datasets {

inline constexpr const char* kTokenizerConfig = "tokenizer_config.json";

// The files of one tokenizer by name.
class TokenizerFiles {
 public:
  // Those of role "tokenizer".
  explicit TokenizerFiles(const FileSet& files);

  bool has(const std::string& name) const { return files_.contains(name); }
  // The path, for messages; the name alone if there is no such file.
  std::string what(const std::string& name) const;
  // Content. Throws Error(kIo), Error(kData) if it is above 256 MiB or changed since the plan.
  std::string text(const std::string& name) const;
  // Content parsed; null if there is no such file. Throws Error(kData) naming the file.
  const Json& json(const std::string& name) const;

 private:
  std::map<std::string, InputFile> files_;
  mutable std::map<std::string, Json> parsed_;
};

std::unique_ptr<const Tokenizer> open_tokenizer_json(const TokenizerFiles& files);

// vocab: JSON {piece: id} in stand-ins; merges: a pair a line, lines that begin with "#version"
// left out.
std::unique_ptr<const Tokenizer> open_vocabulary_and_merges(const TokenizerFiles& files,
                                                            const std::string& vocab,
                                                            const std::string& merges);

// `name`: the SentencePiece model among the files.
std::unique_ptr<const Tokenizer> open_sentencepiece(const TokenizerFiles& files,
                                                    const std::string& name);

// Text of a token that a configuration names: "</s>" or {"content": "</s>"}; "" if it names none.
std::string token_text(const Json& value);

// An entry {"content", "lstrip", "rstrip", "normalized", "single_word"} of `file`. Throws
// Error(kUnsupported) for single_word.
AddedToken added_token(const Json& entry, std::int32_t id, const std::string& file);

// Throws Error(kUnsupported) naming the file and `tokenizer_class` if tokenizer_config.json says
// that a class other than `offered` made the ids: other classes do more than their files say.
void check_class(const TokenizerFiles& files, const std::vector<std::string>& offered);

}  // namespace assay::datasets
