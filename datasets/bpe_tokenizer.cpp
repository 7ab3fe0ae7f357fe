#include "datasets/bpe_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "datasets/text.h"
#include "harness/base/error.h"

namespace assay::datasets {
namespace {

// Texts repeat their pieces; remembering them makes encoding several times faster. Long pieces
// hardly repeat, and the number is bounded.
constexpr std::size_t kMaxRemembered = 1 << 16;
constexpr std::size_t kMaxRememberedBytes = 64;

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  text = replaced(AlignedText(text), from, to).text();
}

}  // namespace

BpeTokenizer::BpeTokenizer(BpeTokenizerParts parts, const std::string& what)
    : parts_(std::move(parts)), what_(what), bpe_(parts_.tables, what) {
  parts_.tables = {};  // bpe_ holds them in its own form
  size_ = bpe_.size();
  std::vector<AddedToken> raw;
  std::vector<AddedToken> normalized;
  for (AddedToken& token : parts_.added) {
    size_ = std::max<std::int64_t>(size_, token.id + 1);
    added_ids_.insert(token.id);
    if (token.normalized) {
      token.content = parts_.normalizer(AlignedText(token.content)).text();
    }
    if (!token.content.empty()) {
      (token.normalized ? normalized : raw).push_back(std::move(token));
    }
  }
  parts_.added.clear();
  raw_ = AddedTokenFinder(std::move(raw));
  normalized_ = AddedTokenFinder(std::move(normalized));
}

// One call of encoding(): its memory of pieces lives as long as the call.
class BpeTokenizer::Encoder {
 public:
  Encoder(const BpeTokenizer& tokenizer, Encoding& encoding)
      : tokenizer_(tokenizer), encoding_(encoding) {}

  // A stretch of the text, which begins at `begin` of it.
  void stretch(std::string_view text, std::size_t begin) {
    const AlignedText normal =
        tokenizer_.parts_.normalizer(AlignedText(std::string(text), begin));
    tokenizer_.normalized_.cut(
        normal.text(),
        [&](std::size_t from, std::size_t to) {
          const bool first = begin == 0 && from == 0;
          const auto& pre_tokenizer = tokenizer_.parts_.pre_tokenizer;
          for (const AlignedText& piece : pre_tokenizer.pieces(normal.part(from, to), first)) {
            add(piece);
          }
        },
        [&](std::int32_t id, std::size_t, std::size_t to) {
          encoding_.add(id, normal.original(to));
        });
  }

 private:
  void add(const AlignedText& piece) {
    const auto known = memory_.find(piece.text());
    if (known != memory_.end()) {
      add(known->second, piece);
      return;
    }
    std::vector<Bpe::Symbol> symbols;
    tokenizer_.bpe_.encode(piece.text(), symbols);
    add(symbols, piece);
    if (piece.text().size() <= kMaxRememberedBytes && memory_.size() < kMaxRemembered) {
      memory_.emplace(piece.text(), std::move(symbols));
    }
  }

  void add(const std::vector<Bpe::Symbol>& symbols, const AlignedText& piece) {
    std::size_t at = 0;
    for (const Bpe::Symbol& symbol : symbols) {
      at += symbol.bytes;
      encoding_.add(symbol.id, piece.original(at));
    }
  }

  const BpeTokenizer& tokenizer_;
  Encoding& encoding_;
  std::unordered_map<std::string, std::vector<Bpe::Symbol>> memory_;
};

Encoding BpeTokenizer::encoding(std::string_view text) const {
  check_utf8(text, "the text to tokenize");
  Encoding encoding;
  Encoder encoder(*this, encoding);
  raw_.cut(
      text,
      [&](std::size_t begin, std::size_t end) {
        encoder.stretch(text.substr(begin, end - begin), begin);
      },
      [&](std::int32_t id, std::size_t, std::size_t end) { encoding.add(id, end); });
  return encoding;
}

std::string BpeTokenizer::decode(std::span<const std::int32_t> ids) const {
  std::string text;
  for (const std::int32_t id : ids) {
    if (added_ids_.contains(id)) {
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
