#include "datasets/tokenizer.h"

#include <fmt/format.h>

#include "datasets/tokenizer_fields.h"
#include "datasets/tokenizer_files.h"
#include "datasets/utf8.h"
#include "harness/core/checkpoint_layout.h"
#include "harness/core/error.h"

namespace assay::datasets {
namespace {

class ByteTokenizer : public Tokenizer {
 public:
  std::vector<std::int32_t> encode(std::string_view text) const override {
    std::vector<std::int32_t> ids;
    ids.reserve(text.size());
    for (const char byte : text) {
      ids.push_back(static_cast<unsigned char>(byte));
    }
    return ids;
  }
  std::string decode(std::span<const std::int32_t> ids) const override {
    std::string text;
    for (const std::int32_t id : ids) {
      if (id < 0 || id > 255) {
        throw Error(ErrorKind::kData, fmt::format("id {} is no byte", id));
      }
      text.push_back(static_cast<char>(id));
    }
    return text;
  }
  std::int64_t vocabulary_size() const override { return 256; }
};

}  // namespace

std::vector<std::int32_t> Tokenizer::encode_text(std::string_view text) const {
  std::vector<std::int32_t> ids = encode(text);
  if (adds_bos() && bos()) {
    ids.insert(ids.begin(), *bos());
  }
  return ids;
}

std::unique_ptr<const Tokenizer> byte_tokenizer() { return std::make_unique<ByteTokenizer>(); }

std::string token_text(const Json& value) {
  const Json& content = value.is_object() ? member(value, "content") : value;
  return content.is_string() ? content.get<std::string>() : "";
}

Json optional_json(const FileSet& files, const char* name) {
  const InputFile* file = files.find(kTokenizerRole, name);
  return file == nullptr ? Json() : parse_json(read_input(*file), file->path.string());
}

std::unique_ptr<const Tokenizer> open_tokenizer(const FileSet& files) {
  const Json config = optional_json(files, "tokenizer_config.json");
  const auto named = [&](const char* name) { return files.find(kTokenizerRole, name); };
  if (const InputFile* json = named("tokenizer.json")) return open_tokenizer_json(*json, config);
  for (const InputFile* file : files.of_role(kTokenizerRole)) {
    if (file->path.extension() == ".model") return open_sentencepiece(*file, config);
  }
  for (const auto& [vocab, merges] :
       {std::pair{"vocab.json", "merges.txt"}, std::pair{"encoder.json", "vocab.bpe"}}) {
    if (named(vocab) != nullptr && named(merges) != nullptr) {
      return open_vocabulary_and_merges(*named(vocab), *named(merges), files, config);
    }
  }
  // What else has the role is the configuration of a network that takes bytes.
  for (const InputFile* file : files.of_role(kTokenizerRole)) {
    if (member(parse_json(read_input(*file), file->path.string()), "vocab_size") == 256) {
      return byte_tokenizer();
    }
  }
  throw Error(ErrorKind::kConfig,
              "no tokenizer; looked for tokenizer.json, tokenizer.model, vocab.json with "
              "merges.txt, encoder.json with vocab.bpe, or vocab_size 256 in config.json (bytes)");
}

}  // namespace assay::datasets
