#pragma once

#include <filesystem>
#include <memory>

#include "datasets/tokenizer.h"
#include "harness/core/json.h"

// The forms that open_tokenizer() knows. `config`: content of tokenizer_config.json, or null.

namespace assay::datasets {

std::unique_ptr<const Tokenizer> open_tokenizer_json(const std::filesystem::path& file,
                                                     const Json& config);

// vocab: JSON {piece: id} in stand-ins; merges: a pair a line, lines that begin with "#version"
// left out. Special tokens are those that the JSON files beside them name.
std::unique_ptr<const Tokenizer> open_vocabulary_and_merges(const std::filesystem::path& vocab,
                                                            const std::filesystem::path& merges,
                                                            const Json& config);

std::unique_ptr<const Tokenizer> open_sentencepiece(const std::filesystem::path& file,
                                                    const Json& config);

// Text of a token that a configuration names: "</s>" or {"content": "</s>"}; "" if it names none.
std::string token_text(const Json& value);

}  // namespace assay::datasets
