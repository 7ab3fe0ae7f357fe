#include "datasets/tokenizer_ids.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "harness/base/error.h"
#include "harness/base/json_members.h"

namespace assay::datasets {
namespace {

constexpr const char* kRoles[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                  "pad_token", "cls_token", "mask_token"};
// Lists of further ones; the second name is newer.
constexpr const char* kLists[] = {"additional_special_tokens", "extra_special_tokens"};

[[noreturn]] void contradict(const std::string& one, const std::string& other,
                             const std::string& how) {
  throw Error(ErrorKind::kData,
              one == other
                  ? fmt::format("{} contradicts itself: {}", one, how)
                  : fmt::format("{} and {} contradict each other: {}; keep the file that the network "
                                "was trained with",
                                one, other, how),
              {{"file", one}, {"other", other}});
}

std::int32_t id_text(const std::string& text, const std::string& where) {
  std::uint64_t id = 0;
  const char* end = text.data() + text.size();
  const std::from_chars_result read = std::from_chars(text.data(), end, id);
  const bool whole = read.ec == std::errc() && read.ptr == end;
  return id_value(whole ? Json(id) : Json(text), where);
}

}  // namespace

std::int32_t id_value(const Json& value, const std::string& what) {
  constexpr std::int64_t kMaxId = 1 << 24;
  if (!value.is_number_integer() || !value.is_number_unsigned() ||
      value.get<std::uint64_t>() > static_cast<std::uint64_t>(kMaxId)) {
    throw Error(ErrorKind::kData,
                fmt::format("{}: id {} is no integer in 0 to {}", what, value.dump(), kMaxId));
  }
  return value.get<std::int32_t>();
}

AddedToken added_token(const Json& entry, std::int32_t id, const std::string& file) {
  const std::string content = text_member_or(entry, "content", "", file + ": added token");
  const std::string where = fmt::format("{}: added token '{}'", file, content);
  if (flag_member_or(entry, "single_word", false, where)) {
    throw Error(ErrorKind::kUnsupported, where + " with single_word is not supported");
  }
  return {.content = content,
          .id = id,
          .strips_left = flag_member_or(entry, "lstrip", false, where),
          .strips_right = flag_member_or(entry, "rstrip", false, where),
          .normalized = flag_member_or(entry, "normalized", false, where),
          .file = file};
}

void TokenIds::add_piece(const std::string& piece, std::int32_t id, const std::string& file) {
  ids_.emplace(piece, id);
  owners_.emplace(id, Owner{piece, index_of(file)});
}

void TokenIds::check_piece(const std::string& piece, std::int32_t id,
                           const std::string& file) const {
  const auto known = ids_.find(piece);
  if (known != ids_.end() && known->second != id) {
    contradict(files_[owners_.at(known->second).file], file,
               fmt::format("'{}' has the id {} in the one place, {} in the other", piece,
                           known->second, id));
  }
}

std::size_t TokenIds::index_of(const std::string& file) {
  const auto found = std::find(files_.begin(), files_.end(), file);
  if (found == files_.end()) {
    files_.push_back(file);
  }
  return static_cast<std::size_t>(std::find(files_.begin(), files_.end(), file) - files_.begin());
}

void TokenIds::add_token(AddedToken token) {
  if (token.content.empty()) {
    throw Error(ErrorKind::kData,
                fmt::format("{}: added token {} is empty", token.file, token.id),
                {{"file", token.file}});
  }
  const auto id = ids_.find(token.content);
  if (id != ids_.end() && id->second != token.id) {
    contradict(files_[owners_.at(id->second).file], token.file,
               fmt::format("'{}' has the id {} in the one place, {} in the other", token.content,
                           id->second, token.id));
  }
  const auto [owner, fresh] = owners_.emplace(token.id, Owner{token.content, index_of(token.file)});
  if (!fresh && owner->second.content != token.content) {
    contradict(files_[owner->second.file], token.file,
               fmt::format("id {} is '{}' in the one place, '{}' in the other", token.id,
                           owner->second.content, token.content));
  }
  ids_.emplace(token.content, token.id);
  if (known_.emplace(token.content, tokens_.size()).second) {
    tokens_.push_back(std::move(token));
  }
}

std::int32_t TokenIds::id_of(const std::string& content) const {
  const auto found = ids_.find(content);
  return found == ids_.end() ? -1 : found->second;
}

void TokenIds::add_decoder(const Json& decoder, const std::string& file) {
  if (decoder.is_null()) {
    return;
  }
  if (!decoder.is_object()) {
    throw Error(ErrorKind::kData, fmt::format("{}: added_tokens_decoder is not an object", file));
  }
  // By id, so that the order of definition is that of the ids.
  std::map<std::int32_t, const Json*> entries;
  for (const auto& [id, entry] : decoder.items()) {
    entries.emplace(id_text(id, file + ": added_tokens_decoder"), &entry);
  }
  for (const auto& [id, entry] : entries) {
    add_token(added_token(*entry, id, file));
  }
}

// A special token that a file names by its content: "</s>" or {"content": "</s>", ...}.
void TokenIds::add_named(const Json& value, const std::string& file) {
  const std::string content = token_text(value);
  if (content.empty() || known_.contains(content)) {
    return;
  }
  AddedToken token = value.is_object() ? added_token(value, -1, file) : AddedToken{};
  token.content = content;
  token.file = file;
  token.id = id_of(content);
  if (token.id >= 0) {
    add_token(std::move(token));
  } else {
    known_.emplace(content, tokens_.size());
    tokens_.push_back(std::move(token));
  }
}

void TokenIds::add_files(const TokenizerFiles& files,
                         const std::map<std::string, std::string>& defaults) {
  const Json config = files.json(kTokenizerConfig);
  add_decoder(member(config, "added_tokens_decoder"), files.what(kTokenizerConfig));
  const Json added = files.json("added_tokens.json");
  if (!added.is_null() && !added.is_object()) {
    throw Error(ErrorKind::kData, files.what("added_tokens.json") + ": not an object of ids");
  }
  for (const auto& [content, id] : added.items()) {
    const std::string file = files.what("added_tokens.json");
    add_token({.content = content,
               .id = id_value(id, fmt::format("{}: '{}'", file, content)),
               .file = file});
  }
  for (const char* role : kRoles) {
    bool named = false;
    for (const char* name : {kTokenizerConfig, "special_tokens_map.json"}) {
      const Json json = files.json(name);
      add_named(member(json, role), files.what(name));
      // A null says that the tokenizer has none.
      named = named || (json.is_object() && json.contains(role));
    }
    const auto usual = defaults.find(role);
    if (!named && usual != defaults.end() && id_of(usual->second) >= 0) {
      add_named(usual->second, "the tokenizer");
    }
  }
  for (const char* name : {kTokenizerConfig, "special_tokens_map.json"}) {
    const Json json = files.json(name);
    for (const char* list : kLists) {
      const Json& tokens = member(json, list);
      for (const Json& token : tokens.is_array() ? tokens : Json::array()) {
        add_named(token, files.what(name));
      }
    }
  }
}

std::string special_token(const TokenizerFiles& files, const std::string& role) {
  for (const char* name : {kTokenizerConfig, "special_tokens_map.json"}) {
    const std::string content = token_text(member(files.json(name), role));
    if (!content.empty()) {
      return content;
    }
  }
  return "";
}

void no_bos(const std::string& file, const std::string& named) {
  const std::string why = named.empty()
                              ? "no bos_token is named"
                              : fmt::format("the vocabulary has no bos_token '{}'", named);
  throw Error(ErrorKind::kData,
              fmt::format("{}: add_bos_token is true, but {}; write the token that the network was "
                          "trained with, or false",
                          file, why),
              {{"file", file}, {"field", "bos_token"}, {"value", named}});
}

}  // namespace assay::datasets
