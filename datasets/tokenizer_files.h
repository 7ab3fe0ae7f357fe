#pragma once

#include <memory>

#include "datasets/tokenizer.h"
#include "harness/core/input_file.h"
#include "harness/core/json.h"

// The forms that open_tokenizer() knows. `config`: content of tokenizer_config.json, or null.

namespace assay::datasets {

std::unique_ptr<const Tokenizer> open_tokenizer_json(const InputFile& file,
                                                     const Json& config);

// vocab: JSON {piece: id} in stand-ins; merges: a pair a line, lines that begin with "#version"
// left out. Special tokens are those that the other JSON files of `files` name.
std::unique_ptr<const Tokenizer> open_vocabulary_and_merges(const InputFile& vocab,
                                                            const InputFile& merges,
                                                            const FileSet& files,
                                                            const Json& config);

std::unique_ptr<const Tokenizer> open_sentencepiece(const InputFile& file, const Json& config);

// Content of one of the tokenizer's files; null if it is not there.
Json optional_json(const FileSet& files, const char* name);

// Text of a token that a configuration names: "</s>" or {"content": "</s>"}; "" if it names none.
std::string token_text(const Json& value);

}  // namespace assay::datasets
