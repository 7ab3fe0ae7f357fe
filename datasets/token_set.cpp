#include "datasets/token_set.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>

#include "datasets/text_rules.h"
#include "harness/base/error.h"
#include "harness/formats/safetensors_file.h"

namespace assay::datasets {
namespace {

std::span<const std::byte> bytes_of(const std::vector<std::int64_t>& values) {
  return std::as_bytes(std::span(values));
}

std::int32_t count_of(std::size_t count) {
  if (count > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    throw Error(ErrorKind::kData, fmt::format("one token stands for {} bytes of the text", count));
  }
  return static_cast<std::int32_t>(count);
}

TensorSource bytes_of(const at::Tensor& values) {
  return {"I32",
          {values.size(0)},
          {static_cast<const std::byte*>(values.data_ptr()),
           static_cast<std::size_t>(values.nbytes())}};
}

at::Tensor counts(const SafetensorsFile& file, const std::string& name) {
  const TensorEntry& entry = file.at(name);
  if (entry.dtype != "I32" || entry.shape.size() != 1) {
    throw Error(ErrorKind::kData,
                fmt::format("{}: {} is not a list of I32", file.path().string(), name));
  }
  at::Tensor values = at::empty(entry.shape, at::kInt);
  if (!entry.bytes.empty()) {
    std::memcpy(values.data_ptr(), entry.bytes.data(), entry.bytes.size());
  }
  return values;
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
  tokens.adds_bos = tokenizer.adds_bos() && tokens.bos.has_value();
  tokens.starts.push_back(0);
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> bytes;
  std::vector<std::int32_t> words;
  for (const std::string& document : documents) {
    const Encoding encoding = tokenizer.encoding_of_text(document);
    std::size_t begin = 0;
    for (std::size_t i = 0; i < encoding.ids.size(); ++i) {
      // What a tokenizer drops at the end of a text belongs to the last id.
      const bool last = i + 1 == encoding.ids.size() && encoding.ends[i] > 0;
      const std::size_t end = last ? document.size() : encoding.ends[i];
      ids.push_back(encoding.ids[i]);
      bytes.push_back(count_of(end - begin));
      words.push_back(count_of(static_cast<std::size_t>(count_words(document, begin, end))));
      begin = end;
    }
    tokens.starts.push_back(static_cast<std::int64_t>(ids.size()));
  }
  tokens.ids = at::tensor(ids, at::kInt);
  tokens.bytes = at::tensor(bytes, at::kInt);
  tokens.words = at::tensor(words, at::kInt);
  return tokens;
}

TokenSet without_added_beginnings(const TokenSet& tokens) {
  if (!tokens.adds_bos) {
    return tokens;
  }
  const at::Tensor ids = tokens.ids.contiguous();
  const at::Tensor bytes = tokens.bytes.contiguous();
  std::vector<std::int64_t> kept;
  TokenSet result;
  result.bos = tokens.bos;
  result.adds_bos = true;
  result.starts.push_back(0);
  for (std::int64_t d = 0; d < tokens.documents(); ++d) {
    const auto document = static_cast<std::size_t>(d);
    for (std::int64_t i = tokens.starts[document]; i < tokens.starts[document + 1]; ++i) {
      const bool added = i == tokens.starts[document] &&
                         ids.const_data_ptr<std::int32_t>()[i] == *tokens.bos &&
                         bytes.const_data_ptr<std::int32_t>()[i] == 0;
      if (!added) {
        kept.push_back(i);
      }
    }
    result.starts.push_back(static_cast<std::int64_t>(kept.size()));
  }
  const at::Tensor index = at::tensor(kept, at::kLong);
  result.ids = ids.index_select(0, index);
  result.bytes = bytes.index_select(0, index);
  result.words = tokens.words.index_select(0, index);
  return result;
}

void write_tokens(const std::filesystem::path& file, const TokenSet& tokens) {
  const at::Tensor ids = tokens.ids.contiguous();
  const at::Tensor bytes = tokens.bytes.contiguous();
  const at::Tensor words = tokens.words.contiguous();
  std::map<std::string, std::string> metadata;
  if (tokens.bos) {
    metadata["bos"] = std::to_string(*tokens.bos);
  }
  if (tokens.adds_bos) {
    metadata["adds_bos"] = "true";
  }
  write_safetensors(file,
                    {{"ids", bytes_of(ids)},
                     {"starts", {"I64", {tokens.documents() + 1}, bytes_of(tokens.starts)}},
                     {"bytes", bytes_of(bytes)},
                     {"words", bytes_of(words)}},
                    metadata);
}

TokenSet read_tokens(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  const auto refuse = [&](const char* why) {
    throw Error(ErrorKind::kData, fmt::format("{}: {}", path.string(), why),
                {{"file", path.string()}});
  };
  TokenSet tokens;
  tokens.ids = counts(file, "ids");
  tokens.bytes = counts(file, "bytes");
  tokens.words = counts(file, "words");
  tokens.starts = integers(file, "starts");
  const std::int64_t size = tokens.ids.numel();
  if (tokens.starts.empty() || tokens.bytes.numel() != size || tokens.words.numel() != size ||
      tokens.starts.front() != 0 || tokens.starts.back() != size ||
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
  tokens.adds_bos = tokens.bos && file.metadata().contains("adds_bos");
  return tokens;
}

}  // namespace assay::datasets
