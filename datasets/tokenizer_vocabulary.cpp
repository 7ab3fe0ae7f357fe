#include <fmt/format.h>

#include "datasets/bpe_tokenizer.h"
#include "datasets/byte_level.h"
#include "datasets/files.h"
#include "datasets/text.h"
#include "datasets/tokenizer_files.h"
#include "datasets/tokenizer_ids.h"
#include "harness/base/error.h"
#include "harness/base/json_members.h"

namespace assay::datasets {
namespace {

// GPT-2's own, where the files name no other.
const std::map<std::string, std::string> kGpt2Tokens = {{"bos_token", "<|endoftext|>"},
                                                        {"eos_token", "<|endoftext|>"},
                                                        {"unk_token", "<|endoftext|>"}};
// Qwen2Tokenizer normalizes by NFC and cuts by an expression of its own.
constexpr const char* kQwen2 = "Qwen2Tokenizer";
constexpr const char* kQwen2Expression =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

std::string bytes_of(const std::string& piece, const std::string& file, std::int64_t line) {
  std::optional<std::string> bytes = bytes_of_stand_ins(piece);
  if (!bytes) {
    refuse_file(
        file, fmt::format("line {}: '{}' holds a character that stands for no byte", line, piece));
  }
  return *bytes;
}

void read_merge_lines(const std::string& text, const std::string& file, BpeTables& tables) {
  check_utf8(text, file);
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
      refuse_file(file, fmt::format("line {}: '{}' is no pair of pieces", number, line));
    }
    tables.merges.emplace_back(bytes_of(line.substr(0, space), file, number),
                               bytes_of(line.substr(space + 1), file, number));
  }
}

PreTokenizer qwen2_pre_tokenizer() {
  return {{{"type", "Sequence"},
           {"pretokenizers",
            {{{"type", "Split"},
              {"pattern", {{"Regex", kQwen2Expression}}},
              {"behavior", "Isolated"}},
             {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}},
          kQwen2};
}

// What the class of the tokenizer says beyond its files.
void apply_class(const TokenizerFiles& files, TokenIds& ids, BpeTokenizerParts& parts) {
  check_class(files, {"GPT2Tokenizer", "GPT2TokenizerFast", kQwen2, "Qwen2TokenizerFast"});
  const Json& config = files.json(kTokenizerConfig);
  if (text_member_or(config, "tokenizer_class", "", files.what(kTokenizerConfig))
          .starts_with(kQwen2)) {
    parts.normalizer = Normalizer::of_form(UnicodeForm::kNfc);
    parts.pre_tokenizer = qwen2_pre_tokenizer();
    ids.add_files(files, {});
    return;
  }
  parts.pre_tokenizer = PreTokenizer::gpt2(
      flag_member_or(config, "add_prefix_space", false, files.what(kTokenizerConfig)));
  ids.add_files(files, kGpt2Tokens);
}

// The class's own, unless a file names one or says that there is none.
std::string bos_text(const TokenizerFiles& files) {
  const Json& config = files.json(kTokenizerConfig);
  const std::string named = special_token(files, "bos_token");
  const bool silent = named.empty() && !(config.is_object() && config.contains("bos_token"));
  return silent ? kGpt2Tokens.at("bos_token") : named;
}

}  // namespace

std::unique_ptr<const Tokenizer> open_vocabulary_and_merges(const TokenizerFiles& files,
                                                            const std::string& vocab,
                                                            const std::string& merges) {
  const std::string what = files.what(vocab);
  const Json& json = files.json(vocab);
  if (!json.is_object()) {
    refuse_file(what, "not an object of pieces and ids");
  }
  BpeTokenizerParts parts;
  TokenIds ids;
  for (const auto& [piece, id] : json.items()) {
    const std::int32_t value = id_value(id, fmt::format("{}: '{}'", what, piece));
    parts.tables.vocabulary.emplace_back(bytes_of_stand_ins(piece).value_or(piece), value);
    ids.add_piece(piece, value, what);
  }
  read_merge_lines(files.text(merges), files.what(merges), parts.tables);
  apply_class(files, ids, parts);
  parts.added = ids.tokens();
  const Json& config = files.json(kTokenizerConfig);
  if (flag_member_or(config, "add_eos_token", false, files.what(kTokenizerConfig))) {
    throw Error(ErrorKind::kUnsupported,
                files.what(kTokenizerConfig) + ": add_eos_token is not supported");
  }
  const std::string named = bos_text(files);
  if (const std::int32_t bos = ids.id_of(named); bos >= 0) parts.bos = bos;
  parts.adds_bos = flag_member_or(config, "add_bos_token", false, files.what(kTokenizerConfig));
  if (parts.adds_bos && !parts.bos) no_bos(files.what(kTokenizerConfig), named);
  return std::make_unique<BpeTokenizer>(std::move(parts), what);
}

}  // namespace assay::datasets
