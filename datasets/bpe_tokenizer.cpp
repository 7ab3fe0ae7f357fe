#include "datasets/bpe_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "datasets/utf8.h"
#include "harness/core/error.h"

namespace assay::datasets {
namespace {

// Texts repeat their pieces; remembering them makes encoding several times faster. Long pieces
// hardly repeat, and the number is bounded.
constexpr std::size_t kMaxRemembered = 1 << 16;
constexpr std::size_t kMaxRememberedBytes = 64;

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  std::string result;
  std::size_t begin = 0;
  for (std::size_t at; (at = text.find(from, begin)) != std::string::npos;) {
    result.append(text, begin, at - begin).append(to);
    begin = at + from.size();
  }
  text = result.append(text, begin);
}

bool white(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

}  // namespace

BpeTokenizer::BpeTokenizer(BpeTokenizerParts parts, const std::string& what)
    : parts_(std::move(parts)), what_(what), bpe_(parts_.tables, what) {
  parts_.tables = {};  // bpe_ holds them in its own form
  size_ = bpe_.size();
  for (std::size_t i = 0; i < parts_.added.size(); ++i) {
    const AddedToken& token = parts_.added[i];
    if (token.content.empty()) {
      throw Error(ErrorKind::kData, fmt::format("{}: added token {} is empty", what, token.id));
    }
    added_by_byte_[static_cast<unsigned char>(token.content.front())].push_back(i);
    size_ = std::max<std::int64_t>(size_, token.id + 1);
  }
  for (auto& candidates : added_by_byte_) {
    std::stable_sort(candidates.begin(), candidates.end(), [&](std::size_t a, std::size_t b) {
      return parts_.added[a].content.size() > parts_.added[b].content.size();
    });
  }
}

const AddedToken* BpeTokenizer::added_at(std::string_view text, std::size_t at) const {
  for (const std::size_t i : added_by_byte_[static_cast<unsigned char>(text[at])]) {
    if (text.substr(at).starts_with(parts_.added[i].content)) {
      return &parts_.added[i];
    }
  }
  return nullptr;
}

// One call of encode(): its memory of pieces lives as long as the call.
class BpeTokenizer::Encoder {
 public:
  Encoder(const BpeTokenizer& tokenizer, std::vector<std::int32_t>& ids)
      : tokenizer_(tokenizer), ids_(ids) {}

  void stretch(std::string_view text, bool first) {
    if (text.empty()) {
      return;
    }
    std::string normal(text);
    for (const NormalizerStep& step : tokenizer_.parts_.normalizer) {
      if (step.from.empty()) {
        normal = step.to + normal;
      } else {
        replace_all(normal, step.from, step.to);
      }
    }
    for (const std::string& piece : tokenizer_.parts_.pre_tokenizer.pieces(normal, first)) {
      add(piece);
    }
  }

 private:
  void add(const std::string& piece) {
    const auto known = memory_.find(piece);
    if (known != memory_.end()) {
      ids_.insert(ids_.end(), known->second.begin(), known->second.end());
      return;
    }
    const std::size_t before = ids_.size();
    tokenizer_.bpe_.encode(piece, ids_);
    if (piece.size() <= kMaxRememberedBytes && memory_.size() < kMaxRemembered) {
      memory_.emplace(piece, std::vector<std::int32_t>(
                                 ids_.begin() + static_cast<std::ptrdiff_t>(before), ids_.end()));
    }
  }

  const BpeTokenizer& tokenizer_;
  std::vector<std::int32_t>& ids_;
  std::unordered_map<std::string, std::vector<std::int32_t>> memory_;
};

std::vector<std::int32_t> BpeTokenizer::encode(std::string_view text) const {
  check_utf8(text, "the text to tokenize");
  std::vector<std::int32_t> ids;
  Encoder encoder(*this, ids);
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const AddedToken* token = added_at(text, at);
    if (token == nullptr) {
      ++at;
      continue;
    }
    std::size_t end = at;
    while (token->strips_left && end > begin && white(text[end - 1])) {
      --end;
    }
    encoder.stretch(text.substr(begin, end - begin), begin == 0);
    ids.push_back(token->id);
    at += token->content.size();
    while (token->strips_right && at < text.size() && white(text[at])) {
      ++at;
    }
    begin = at;
  }
  encoder.stretch(text.substr(begin), begin == 0);
  return ids;
}

std::string BpeTokenizer::decode(std::span<const std::int32_t> ids) const {
  std::string text;
  for (const std::int32_t id : ids) {
    const bool added = std::any_of(parts_.added.begin(), parts_.added.end(),
                                   [&](const AddedToken& token) { return token.id == id; });
    if (added) {
      continue;
    }
    const std::string* piece = bpe_.piece(id);
    if (piece == nullptr) {
      throw Error(ErrorKind::kData, fmt::format("{}: no piece has the id {}", what_, id));
    }
    if (const auto byte = bpe_.fallback_byte(id)) {
      text += *byte;
      continue;
    }
    std::string plain = *piece;
    if (!parts_.space.empty()) {
      replace_all(plain, parts_.space, " ");
    }
    text += plain;
  }
  if (parts_.strips_prefix && text.starts_with(' ')) {
    text.erase(0, 1);
  }
  return text;
}

}  // namespace assay::datasets
