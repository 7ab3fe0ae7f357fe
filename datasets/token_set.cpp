#include "datasets/token_set.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "datasets/text_rules.h"
#include "harness/core/error.h"
#include "harness/core/safetensors_file.h"

namespace assay::datasets {
namespace {

std::span<const std::byte> bytes_of(const std::vector<std::int64_t>& values) {
  return std::as_bytes(std::span(values));
}

std::vector<std::int64_t> integers(const SafetensorsFile& file, const std::string& name) {
  const TensorEntry& entry = file.at(name);
  if (entry.dtype != "I64" || entry.shape.size() != 1) {
    throw Error(ErrorKind::kData,
                fmt::format("{}: {} is not a list of I64", file.path().string(), name));
  }
  std::vector<std::int64_t> values(static_cast<std::size_t>(entry.count()));
  if (!values.empty()) {
    std::memcpy(values.data(), entry.bytes.data(), entry.bytes.size());
  }
  return values;
}

}  // namespace

TokenSet tokenize(const Tokenizer& tokenizer, const std::vector<std::string>& documents) {
  TokenSet tokens;
  tokens.bos = tokenizer.bos();
  tokens.starts.push_back(0);
  std::vector<std::int32_t> ids;
  for (const std::string& document : documents) {
    const std::vector<std::int32_t> more = tokenizer.encode_text(document);
    ids.insert(ids.end(), more.begin(), more.end());
    tokens.starts.push_back(static_cast<std::int64_t>(ids.size()));
    tokens.words.push_back(count_words(document));
    tokens.bytes.push_back(static_cast<std::int64_t>(document.size()));
  }
  tokens.ids = at::tensor(ids, at::kInt);
  return tokens;
}

void write_tokens(const std::filesystem::path& file, const TokenSet& tokens) {
  const at::Tensor ids = tokens.ids.contiguous();
  const auto documents = tokens.documents();
  std::map<std::string, std::string> metadata;
  if (tokens.bos) {
    metadata["bos"] = std::to_string(*tokens.bos);
  }
  write_safetensors(
      file,
      {{"ids",
        {"I32",
         {ids.size(0)},
         {static_cast<const std::byte*>(ids.data_ptr()), static_cast<std::size_t>(ids.nbytes())}}},
       {"starts", {"I64", {documents + 1}, bytes_of(tokens.starts)}},
       {"words", {"I64", {documents}, bytes_of(tokens.words)}},
       {"bytes", {"I64", {documents}, bytes_of(tokens.bytes)}}},
      metadata);
}

TokenSet read_tokens(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  const auto refuse = [&](const char* why) {
    throw Error(ErrorKind::kData, fmt::format("{}: {}", path.string(), why),
                {{"file", path.string()}});
  };
  TokenSet tokens;
  const TensorEntry& ids = file.at("ids");
  if (ids.dtype != "I32" || ids.shape.size() != 1) {
    refuse("ids are not a list of I32");
  }
  tokens.ids = at::empty(ids.shape, at::kInt);
  if (!ids.bytes.empty()) {
    std::memcpy(tokens.ids.data_ptr(), ids.bytes.data(), ids.bytes.size());
  }
  tokens.starts = integers(file, "starts");
  tokens.words = integers(file, "words");
  tokens.bytes = integers(file, "bytes");
  if (tokens.starts.size() != tokens.words.size() + 1 ||
      tokens.words.size() != tokens.bytes.size() || tokens.starts.front() != 0 ||
      tokens.starts.back() != ids.count() ||
      !std::is_sorted(tokens.starts.begin(), tokens.starts.end())) {
    refuse("the starts of documents do not fit the ids");
  }
  const auto bos = file.metadata().find("bos");
  if (bos != file.metadata().end()) {
    std::int32_t id = 0;
    const char* end = bos->second.data() + bos->second.size();
    if (std::from_chars(bos->second.data(), end, id).ptr != end || id < 0) {
      refuse("metadata 'bos' is no id");
    }
    tokens.bos = id;
  }
  return tokens;
}

}  // namespace assay::datasets
