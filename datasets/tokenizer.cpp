#include "datasets/tokenizer.h"

#include <fmt/format.h>

#include "datasets/tokenizer_fields.h"
#include "datasets/tokenizer_files.h"
#include "datasets/utf8.h"
#include "harness/core/atomic_file.h"
#include "harness/core/error.h"

namespace assay::datasets {
namespace {

namespace fs = std::filesystem;

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

Json optional_json(const fs::path& path) {
  return fs::exists(path) ? parse_json(read_file(path), path.string()) : Json();
}

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

std::unique_ptr<const Tokenizer> open_tokenizer(const fs::path& path) {
  std::error_code ignored;
  const bool is_file = fs::is_regular_file(path, ignored);
  const fs::path folder = is_file ? path.parent_path() : path;
  const Json config = optional_json(folder / "tokenizer_config.json");
  if (is_file && path.extension() == ".model") {
    return open_sentencepiece(path, config);
  }
  if (is_file && path.filename() == "tokenizer.json") {
    return open_tokenizer_json(path, config);
  }
  if (fs::exists(folder / "tokenizer.json")) {
    return open_tokenizer_json(folder / "tokenizer.json", config);
  }
  if (fs::exists(folder / "tokenizer.model")) {
    return open_sentencepiece(folder / "tokenizer.model", config);
  }
  for (const auto& [vocab, merges] :
       {std::pair{"vocab.json", "merges.txt"}, std::pair{"encoder.json", "vocab.bpe"}}) {
    if (fs::exists(folder / vocab) && fs::exists(folder / merges)) {
      return open_vocabulary_and_merges(folder / vocab, folder / merges, config);
    }
  }
  if (member(optional_json(folder / "config.json"), "vocab_size") == 256) {
    return byte_tokenizer();
  }
  throw Error(
      ErrorKind::kConfig,
      fmt::format("{}: no tokenizer; looked for tokenizer.json, tokenizer.model, vocab.json "
                  "with merges.txt, encoder.json with vocab.bpe, or vocab_size 256 in "
                  "config.json (bytes)",
                  folder.string()),
      {{"folder", folder.string()}});
}

}  // namespace assay::datasets
