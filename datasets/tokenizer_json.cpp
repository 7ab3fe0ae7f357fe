#include <fmt/format.h>

#include "datasets/bpe_tokenizer.h"
#include "datasets/byte_level.h"
#include "datasets/tokenizer_fields.h"
#include "datasets/tokenizer_files.h"
#include "harness/core/error.h"

namespace assay::datasets {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{256} << 20;

[[noreturn]] void not_offered(const std::string& where) {
  throw Error(ErrorKind::kUnsupported, where + " is not offered");
}

void add_normalizer(const Json& json, const std::string& what, std::vector<NormalizerStep>& steps) {
  if (json.is_null()) {
    return;
  }
  const std::string type = type_of(json, what + ": normalizer");
  const std::string where = fmt::format("{}: normalizer {}", what, type);
  if (type == "Sequence") {
    for (const Json& part : list_field(json, "normalizers", where)) {
      add_normalizer(part, what, steps);
    }
  } else if (type == "Prepend") {
    steps.push_back({"", text_field(json, "prepend", "", where)});
  } else if (type == "Replace") {
    const Json& pattern = object_field(json, "pattern", where);
    const std::string from = text_field(pattern, "String", "", where);
    if (from.empty()) {
      not_offered(where + " with an expression");
    }
    steps.push_back({from, text_field(json, "content", "", where)});
  } else {
    not_offered(where);
  }
}

std::vector<AddedToken> added_tokens(const Json& json, const std::string& what) {
  std::vector<AddedToken> added;
  if (member(json, "added_tokens").is_null()) {
    return added;
  }
  const bool has_normalizer = !member(json, "normalizer").is_null();
  for (const Json& entry : list_field(json, "added_tokens", what)) {
    const std::string content = text_field(entry, "content", "", what + ": added token");
    const std::string where = fmt::format("{}: added token '{}'", what, content);
    if (flag_field(entry, "single_word", false, where)) {
      not_offered(where + " with single_word");
    }
    if (has_normalizer && flag_field(entry, "normalized", false, where)) {
      not_offered(where + " with normalized");
    }
    added.push_back({content, id_value(member(entry, "id"), where),
                     flag_field(entry, "lstrip", false, where),
                     flag_field(entry, "rstrip", false, where)});
  }
  return added;
}

// The text of a vocabulary or merge entry in bytes.
std::string piece_bytes(const std::string& piece, bool byte_level) {
  // An added token may hold characters that are no stand-ins; it stays as it is.
  return byte_level ? bytes_of_stand_ins(piece).value_or(piece) : piece;
}

void read_merges(const Json& list, bool byte_level, const std::string& what, BpeTables& tables) {
  for (const Json& merge : list) {
    std::string left;
    std::string right;
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      left = merge[0].get<std::string>();
      right = merge[1].get<std::string>();
    } else if (merge.is_string()) {
      const std::string& pair = merge.get_ref<const std::string&>();
      const std::size_t space = pair.find(' ');
      if (space != std::string::npos) {
        left = pair.substr(0, space);
        right = pair.substr(space + 1);
      }
    }
    if (left.empty() || right.empty()) {
      throw Error(ErrorKind::kData,
                  fmt::format("{}: merge {} is no pair of pieces", what, tables.merges.size()));
    }
    tables.merges.emplace_back(piece_bytes(left, byte_level), piece_bytes(right, byte_level));
  }
}

BpeTables read_model(const Json& json, bool byte_level, const std::string& what) {
  const Json& model = object_field(json, "model", what);
  const std::string type = text_field(model, "type", "BPE", what);
  const std::string where = fmt::format("{}: model {}", what, type);
  if (type != "BPE") {
    not_offered(where);
  }
  for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!text_field(model, name, "", where).empty()) {
      not_offered(fmt::format("{}: {}", where, name));
    }
  }
  const Json& dropout = member(model, "dropout");
  if (!dropout.is_null() && dropout != 0) {
    not_offered(where + ": dropout");
  }
  BpeTables tables;
  tables.byte_level = byte_level;
  tables.byte_fallback = flag_field(model, "byte_fallback", false, where);
  tables.ignore_merges = flag_field(model, "ignore_merges", false, where);
  tables.fuse_unknown = flag_field(model, "fuse_unk", false, where);
  const std::string unknown = text_field(model, "unk_token", "", where);
  for (const auto& [piece, id] : object_field(model, "vocab", where).items()) {
    tables.vocabulary.emplace_back(piece_bytes(piece, byte_level),
                                   id_value(id, fmt::format("{}: '{}'", where, piece)));
    if (!unknown.empty() && piece == unknown) {
      tables.unknown = tables.vocabulary.back().second;
    }
  }
  read_merges(list_field(model, "merges", where), byte_level, where, tables);
  return tables;
}

// The id that a post-processor puts in front of every text; -1: none.
std::int32_t template_bos(const Json& json, const std::string& what) {
  if (json.is_null()) {
    return -1;
  }
  const std::string type = type_of(json, what + ": post_processor");
  const std::string where = fmt::format("{}: post_processor {}", what, type);
  if (type == "ByteLevel") {
    return -1;
  }
  if (type == "Sequence") {
    std::int32_t bos = -1;
    for (const Json& part : list_field(json, "processors", where)) {
      bos = std::max(bos, template_bos(part, what));
    }
    return bos;
  }
  if (type != "TemplateProcessing") {
    not_offered(where);
  }
  const Json& single = list_field(json, "single", where);
  if (single.size() == 1 && single[0].contains("Sequence")) {
    return -1;
  }
  if (single.size() != 2 || !single[0].contains("SpecialToken") ||
      !single[1].contains("Sequence")) {
    not_offered(where + " other than one token before the text");
  }
  const std::string id =
      text_field(object_field(single[0], "SpecialToken", where), "id", "", where);
  const Json& token = object_field(object_field(json, "special_tokens", where), id, where);
  const Json& ids = list_field(token, "ids", where);
  if (ids.size() != 1) {
    not_offered(where + " with several ids for one token");
  }
  return id_value(ids[0], where);
}

void decide_bos(const Json& json, const Json& config, const std::string& what,
                BpeTokenizerParts& parts) {
  const std::int32_t bos = template_bos(member(json, "post_processor"), what);
  if (bos >= 0) {
    parts.bos = bos;
  } else {
    const std::string named = token_text(member(config, "bos_token"));
    for (const AddedToken& token : parts.added) {
      if (!named.empty() && token.content == named) {
        parts.bos = token.id;
      }
    }
  }
  parts.adds_bos = flag_field(config, "add_bos_token", bos >= 0, "tokenizer_config.json");
  if (flag_field(config, "add_eos_token", false, "tokenizer_config.json")) {
    not_offered("tokenizer_config.json: add_eos_token");
  }
}

}  // namespace

std::unique_ptr<const Tokenizer> open_tokenizer_json(const InputFile& file,
                                                     const Json& config) {
  const std::string what = file.path.string();
  const Json json = parse_json(read_input(file, kMaxFileBytes), what);
  BpeTokenizerParts parts;
  parts.added = added_tokens(json, what);
  add_normalizer(member(json, "normalizer"), what, parts.normalizer);
  const Json& pre_tokenizer = member(json, "pre_tokenizer");
  parts.pre_tokenizer = PreTokenizer(pre_tokenizer, what);
  parts.tables = read_model(json, parts.pre_tokenizer.byte_level(), what);
  for (const NormalizerStep& step : parts.normalizer) {
    parts.strips_prefix = parts.strips_prefix || step.from.empty();
    parts.space = step.from == " " ? step.to : parts.space;
  }
  if (!pre_tokenizer.is_null() && member(pre_tokenizer, "type") == "Metaspace") {
    parts.space = text_field(pre_tokenizer, "replacement", "\xe2\x96\x81", what);
    parts.strips_prefix = text_field(pre_tokenizer, "prepend_scheme", "always", what) != "never";
  }
  decide_bos(json, config, what, parts);
  return std::make_unique<BpeTokenizer>(std::move(parts), what);
}

}  // namespace assay::datasets
