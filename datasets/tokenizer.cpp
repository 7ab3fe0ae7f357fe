#include "datasets/tokenizer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "datasets/tokenizer_files.h"
#include "harness/base/error.h"
#include "harness/base/json_members.h"
#include "harness/formats/checkpoint_layout.h"

namespace assay::datasets {
namespace {

class ByteTokenizer : public Tokenizer {
 public:
  Encoding encoding(std::string_view text) const override {
    Encoding encoding;
    encoding.ids.reserve(text.size());
    encoding.ends.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
      encoding.add(static_cast<unsigned char>(text[i]), i + 1);
    }
    return encoding;
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

constexpr std::size_t kMaxTokenizerFileBytes = std::size_t{256} << 20;

}  // namespace

TokenizerFiles::TokenizerFiles(const FileSet& files) {
  for (const InputFile* file : files.of_role(kTokenizerRole)) {
    files_.emplace(file->name, *file);
  }
}

std::string TokenizerFiles::what(const std::string& name) const {
  const auto found = files_.find(name);
  return found == files_.end() ? name : found->second.path.string();
}

std::string TokenizerFiles::text(const std::string& name) const {
  return read_input(files_.at(name), kMaxTokenizerFileBytes);
}

const Json& TokenizerFiles::json(const std::string& name) const {
  const auto known = parsed_.find(name);
  if (known != parsed_.end()) {
    return known->second;
  }
  return parsed_.emplace(name, has(name) ? parse_json(text(name), what(name)) : Json())
      .first->second;
}

Encoding Tokenizer::encoding_of_text(std::string_view text) const {
  Encoding encoding = this->encoding(text);
  const std::optional<std::int32_t> first = bos();
  if (adds_bos() && first && (encoding.ids.empty() || encoding.ids.front() != *first)) {
    encoding.ids.insert(encoding.ids.begin(), *first);
    encoding.ends.insert(encoding.ends.begin(), 0);
  }
  return encoding;
}

std::unique_ptr<const Tokenizer> byte_tokenizer() { return std::make_unique<ByteTokenizer>(); }

std::string token_text(const Json& value) {
  const Json& content = value.is_object() ? member(value, "content") : value;
  return content.is_string() ? content.get<std::string>() : "";
}

void check_class(const TokenizerFiles& files, const std::vector<std::string>& offered) {
  const Json& name = member(files.json(kTokenizerConfig), "tokenizer_class");
  if (name.is_null() || (name.is_string() && std::find(offered.begin(), offered.end(),
                                                       name.get<std::string>()) != offered.end())) {
    return;
  }
  throw Error(
      ErrorKind::kUnsupported,
      fmt::format("{}: tokenizer_class {} is not supported without a tokenizer.json; offered: "
                  "{}; have transformers write the folder with a tokenizer.json",
                  files.what(kTokenizerConfig), name.dump(), fmt::join(offered, ", ")),
      {{"file", files.what(kTokenizerConfig)}});
}

std::unique_ptr<const Tokenizer> open_tokenizer(const FileSet& set) {
  const TokenizerFiles files(set);
  if (files.has("tokenizer.json")) {
    return open_tokenizer_json(files);
  }
  for (const InputFile* file : set.of_role(kTokenizerRole)) {
    if (file->path.extension() == ".model") {
      return open_sentencepiece(files, file->name);
    }
  }
  for (const auto& [vocab, merges] :
       {std::pair{"vocab.json", "merges.txt"}, std::pair{"encoder.json", "vocab.bpe"}}) {
    if (files.has(vocab) && files.has(merges)) {
      return open_vocabulary_and_merges(files, vocab, merges);
    }
  }
  // What else has the role is the configuration of a network that takes bytes.
  for (const InputFile* file : set.of_role(kTokenizerRole)) {
    if (file->path.extension() == ".json" && member(files.json(file->name), "vocab_size") == 256) {
      return byte_tokenizer();
    }
  }
  throw Error(ErrorKind::kConfig,
              "no tokenizer; looked for tokenizer.json, tokenizer.model, vocab.json with "
              "merges.txt, encoder.json with vocab.bpe, or vocab_size 256 in config.json (bytes)");
}

}  // namespace assay::datasets
