#include <fmt/format.h>

#include <map>
#include <set>

#include "datasets/bpe_tokenizer.h"
#include "datasets/byte_level.h"
#include "datasets/tokenizer_fields.h"
#include "datasets/tokenizer_files.h"
#include "datasets/utf8.h"
#include "harness/core/error.h"

namespace assay::datasets {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{256} << 20;

[[noreturn]] void refuse(const InputFile& file, const std::string& why) {
  throw Error(ErrorKind::kData, fmt::format("{}: {}", file.path.string(), why),
              {{"file", file.path.string()}});
}

std::string bytes_of(const std::string& piece, const InputFile& file, std::int64_t line) {
  std::optional<std::string> bytes = bytes_of_stand_ins(piece);
  if (!bytes) {
    refuse(file,
           fmt::format("line {}: '{}' holds a character that stands for no byte", line, piece));
  }
  return *bytes;
}

void read_merges(const InputFile& file, BpeTables& tables) {
  const std::string text = read_input(file, kMaxFileBytes);
  check_utf8(text, file.path.string());
  std::int64_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.ends_with('\r')) {
      line.pop_back();
    }
    if (line.empty() || line.starts_with("#version")) {
      continue;
    }
    const std::size_t space = line.find(' ');
    if (space == 0 || space == std::string::npos || space + 1 == line.size() ||
        line.find(' ', space + 1) != std::string::npos) {
      refuse(file, fmt::format("line {}: '{}' is no pair of pieces", number, line));
    }
    tables.merges.emplace_back(bytes_of(line.substr(0, space), file, number),
                               bytes_of(line.substr(space + 1), file, number));
  }
}

// Every text of a special token that the files of the tokenizer name.
std::set<std::string> special_texts(const FileSet& files, const Json& config) {
  std::set<std::string> texts;
  const auto add = [&](const Json& value) {
    const std::string text = token_text(value);
    if (!text.empty()) {
      texts.insert(text);
    }
  };
  for (const char* name : {"bos_token", "eos_token", "unk_token", "pad_token"}) {
    add(member(config, name));
  }
  for (const auto& [id, token] : member(config, "added_tokens_decoder").items()) {
    add(token);
  }
  // Named first: items() refers to its object, which must outlive the loop.
  const Json map = optional_json(files, "special_tokens_map.json");
  const Json tokens = optional_json(files, "added_tokens.json");
  for (const auto& [role, token] : map.items()) {
    add(token);
  }
  for (const auto& [text, id] : tokens.items()) {
    texts.insert(text);
  }
  return texts;
}

}  // namespace

std::unique_ptr<const Tokenizer> open_vocabulary_and_merges(const InputFile& vocab,
                                                            const InputFile& merges,
                                                            const FileSet& files,
                                                            const Json& config) {
  const std::string what = vocab.path.string();
  const Json json = parse_json(read_input(vocab, kMaxFileBytes), what);
  if (!json.is_object()) {
    refuse(vocab, "not an object of pieces and ids");
  }
  BpeTokenizerParts parts;
  std::map<std::string, std::int32_t> ids;
  for (const auto& [piece, id] : json.items()) {
    const std::int32_t value = id_value(id, fmt::format("{}: '{}'", what, piece));
    parts.tables.vocabulary.emplace_back(bytes_of_stand_ins(piece).value_or(piece), value);
    ids.emplace(piece, value);
  }
  read_merges(merges, parts.tables);
  for (const std::string& text : special_texts(files, config)) {
    const auto found = ids.find(text);
    if (found != ids.end()) {
      parts.added.push_back({text, found->second, false, false});
    }
  }
  const std::string where = "tokenizer_config.json";
  parts.pre_tokenizer = PreTokenizer::gpt2(flag_field(config, "add_prefix_space", false, where));
  const auto bos = ids.find(token_text(member(config, "bos_token")));
  if (bos != ids.end()) {
    parts.bos = bos->second;
  }
  parts.adds_bos = flag_field(config, "add_bos_token", false, where) && parts.bos.has_value();
  return std::make_unique<BpeTokenizer>(std::move(parts), what);
}

}  // namespace assay::datasets
