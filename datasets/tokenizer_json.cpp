#include <fmt/format.h>

#include "datasets/bpe_tokenizer.h"
#include "datasets/byte_level.h"
#include "datasets/tokenizer_files.h"
#include "datasets/tokenizer_ids.h"
#include "harness/base/error.h"
#include "harness/base/json_members.h"

namespace assay::datasets {
namespace {

constexpr const char* kFile = "tokenizer.json";

[[noreturn]] void not_offered(const std::string& where) {
  throw Error(ErrorKind::kUnsupported, where + " is not supported");
}

// The text of a vocabulary or merge entry in bytes.
std::string piece_bytes(const std::string& piece, bool byte_level) {
  // An added token may hold characters that are no stand-ins; it stays as it is.
  return byte_level ? bytes_of_stand_ins(piece).value_or(piece) : piece;
}

void read_merge_list(const Json& list, bool byte_level, const std::string& what,
                     BpeTables& tables) {
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

BpeTables read_model(const Json& json, bool byte_level, const std::string& what, TokenIds& ids) {
  const Json& model = object_member(json, "model", what);
  const std::string type = text_member_or(model, "type", "BPE", what);
  const std::string where = fmt::format("{}: model {}", what, type);
  if (type != "BPE") {
    not_offered(where);
  }
  for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!text_member_or(model, name, "", where).empty()) {
      not_offered(fmt::format("{}: {}", where, name));
    }
  }
  const Json& dropout = member(model, "dropout");
  if (!dropout.is_null() && dropout != 0) {
    not_offered(where + ": dropout");
  }
  BpeTables tables;
  tables.byte_level = byte_level;
  tables.byte_fallback = flag_member_or(model, "byte_fallback", false, where);
  tables.ignore_merges = flag_member_or(model, "ignore_merges", false, where);
  tables.fuse_unknown = flag_member_or(model, "fuse_unk", false, where);
  const std::string unknown = text_member_or(model, "unk_token", "", where);
  for (const auto& [piece, id] : object_member(model, "vocab", where).items()) {
    tables.vocabulary.emplace_back(piece_bytes(piece, byte_level),
                                   id_value(id, fmt::format("{}: '{}'", where, piece)));
    ids.add_piece(piece, tables.vocabulary.back().second, what);
    if (!unknown.empty() && piece == unknown) {
      tables.unknown = tables.vocabulary.back().second;
    }
  }
  read_merge_list(list_member(model, "merges", where), byte_level, where, tables);
  return tables;
}

// The id that a post-processor puts in front of every text; -1: none.
std::int32_t template_bos(const Json& json, const std::string& what) {
  if (json.is_null()) {
    return -1;
  }
  const std::string type = text_member(json, "type", what + ": post_processor");
  const std::string where = fmt::format("{}: post_processor {}", what, type);
  if (type == "ByteLevel") {
    return -1;
  }
  if (type == "Sequence") {
    std::int32_t bos = -1;
    for (const Json& part : list_member(json, "processors", where)) {
      bos = std::max(bos, template_bos(part, what));
    }
    return bos;
  }
  if (type != "TemplateProcessing") {
    not_offered(where);
  }
  const Json& single = list_member(json, "single", where);
  if (single.size() == 1 && single[0].contains("Sequence")) {
    return -1;
  }
  if (single.size() != 2 || !single[0].contains("SpecialToken") ||
      !single[1].contains("Sequence")) {
    not_offered(where + " other than one token before the text");
  }
  const std::string id =
      text_member_or(object_member(single[0], "SpecialToken", where), "id", "", where);
  const Json& token = object_member(object_member(json, "special_tokens", where), id, where);
  const Json& ids = list_member(token, "ids", where);
  if (ids.size() != 1) {
    not_offered(where + " with several ids for one token");
  }
  return id_value(ids[0], where);
}

// A setting that both files have must be the same in both; transformers follows one or the other,
// depending on its version.
void check_prefix_space(const Json& pre_tokenizer, const TokenizerFiles& files) {
  const Json& one = member(pre_tokenizer, "add_prefix_space");
  const Json& other = member(files.json(kTokenizerConfig), "add_prefix_space");
  if (one.is_boolean() && other.is_boolean() && one != other) {
    throw Error(
        ErrorKind::kData,
        fmt::format("{} and {} contradict each other: add_prefix_space is {} in the one, {} "
                    "in the other",
                    files.what(kFile), files.what(kTokenizerConfig), one.dump(), other.dump()),
        {{"file", files.what(kTokenizerConfig)}});
  }
}

// A folder may hold its tokenizer as vocab.json too.
void check_vocabulary(const TokenizerFiles& files, const TokenIds& ids) {
  const Json& vocabulary = files.json("vocab.json");
  if (!vocabulary.is_object()) {
    return;
  }
  const std::string what = files.what("vocab.json");
  for (const auto& [piece, id] : vocabulary.items()) {
    ids.check_piece(piece, id_value(id, fmt::format("{}: '{}'", what, piece)), what);
  }
}

void decide_bos(const TokenizerFiles& files, const TokenIds& ids, BpeTokenizerParts& parts) {
  const std::string what = files.what(kTokenizerConfig);
  const std::int32_t bos =
      template_bos(member(files.json(kFile), "post_processor"), files.what(kFile));
  const std::string named = special_token(files, "bos_token");
  if (bos >= 0) {
    parts.bos = bos;
  } else if (!named.empty() && ids.id_of(named) >= 0) {
    parts.bos = ids.id_of(named);
  }
  parts.adds_bos = flag_member_or(files.json(kTokenizerConfig), "add_bos_token", bos >= 0, what);
  if (parts.adds_bos && !parts.bos) no_bos(what, named);
  if (flag_member_or(files.json(kTokenizerConfig), "add_eos_token", false, what)) {
    not_offered(what + ": add_eos_token");
  }
}

}  // namespace

std::unique_ptr<const Tokenizer> open_tokenizer_json(const TokenizerFiles& files) {
  const std::string what = files.what(kFile);
  const Json& json = files.json(kFile);
  if (const Json& version = member(json, "version"); !version.is_null() && version != "1.0") {
    not_offered(
        fmt::format("{}: a tokenizer.json of version {}, other than 1.0,", what, version.dump()));
  }
  BpeTokenizerParts parts;
  TokenIds ids;
  parts.normalizer = Normalizer(member(json, "normalizer"), what);
  const Json& pre_tokenizer = member(json, "pre_tokenizer");
  parts.pre_tokenizer = PreTokenizer(pre_tokenizer, what);
  check_prefix_space(pre_tokenizer, files);
  parts.tables = read_model(json, parts.pre_tokenizer.byte_level(), what, ids);
  if (!member(json, "added_tokens").is_null()) {
    for (const Json& entry : list_member(json, "added_tokens", what)) {
      const std::string where =
          fmt::format("{}: added token '{}'", what, text_member_or(entry, "content", "", what));
      ids.add_token(added_token(entry, id_value(member(entry, "id"), where), what));
    }
  }
  ids.add_files(files, {});
  check_vocabulary(files, ids);
  parts.added = ids.tokens();
  parts.strips_prefix = parts.normalizer.prepends();
  parts.space = parts.normalizer.space();
  if (!pre_tokenizer.is_null() && member(pre_tokenizer, "type") == "Metaspace") {
    parts.space = text_member_or(pre_tokenizer, "replacement", "\xe2\x96\x81", what);
    parts.strips_prefix =
        text_member_or(pre_tokenizer, "prepend_scheme", "always", what) != "never";
  }
  decide_bos(files, ids, parts);
  return std::make_unique<BpeTokenizer>(std::move(parts), what);
}

}  // namespace assay::datasets
