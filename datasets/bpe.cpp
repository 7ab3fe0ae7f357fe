#include "datasets/bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <queue>

#include "datasets/files.h"
#include "harness/base/error.h"
#include "harness/base/utf8.h"

namespace assay::datasets {
namespace {

constexpr std::int32_t kMaxId = 1 << 24;
constexpr std::size_t kMaxPieceBytes = std::size_t{1} << 30;

std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
         static_cast<std::uint32_t>(right);
}

// A join that may be made: pairs in the heap can be stale, so the symbols are kept to compare.
struct Candidate {
  std::int32_t rank;
  std::int32_t at;
  std::int32_t left;
  std::int32_t right;
  std::int32_t id;

  bool operator>(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : at > other.at;
  }
};

}  // namespace

Bpe::Bpe(const BpeTables& tables, const std::string& what) : what_(what) {
  options_.byte_level = tables.byte_level;
  options_.byte_fallback = tables.byte_fallback;
  options_.ignore_merges = tables.ignore_merges;
  options_.fuse_unknown = tables.fuse_unknown;
  options_.unknown = tables.unknown;
  ids_.reserve(tables.vocabulary.size());
  for (const auto& [piece, id] : tables.vocabulary) {
    if (id < 0 || id > kMaxId) {
      refuse_file(what, fmt::format("id {} of '{}'; legal: 0 to {}", id, piece, kMaxId));
    }
    const auto index = static_cast<std::size_t>(id);
    if (index >= pieces_.size()) {
      pieces_.resize(index + 1);
    }
    if (pieces_[index]) {
      refuse_file(what,
                  fmt::format("'{}' and '{}' have the same id {}", *pieces_[index], piece, id));
    }
    pieces_[index] = piece;
    ids_.emplace(piece, id);
  }
  merges_.reserve(tables.merges.size());
  std::int32_t rank = 0;
  for (const auto& [left, right] : tables.merges) {
    const auto first = id_of(left);
    const auto second = id_of(right);
    const auto joined = id_of(left + right);
    if (!first || !second || !joined) {
      refuse_file(what,
                  fmt::format("merge {} ('{}' + '{}') names a piece that is not in the vocabulary",
                              rank, left, right));
    }
    // Of equal merges the last one counts, as in Hugging Face's tokenizers.
    merges_.insert_or_assign(pair_key(*first, *second), Merge{rank, *joined});
    ++rank;
  }
  for (int byte = 0; byte < 256; ++byte) {
    const std::string piece = options_.byte_level ? std::string(1, static_cast<char>(byte))
                                                  : fmt::format("<0x{:02X}>", byte);
    const auto id = id_of(piece);
    if (!id && !options_.byte_level && options_.byte_fallback) {
      refuse_file(what, fmt::format("byte_fallback is true, and the vocabulary lacks '{}'; take a "
                                    "vocabulary with all of <0x00> to <0xFF>",
                                    piece));
    }
    byte_ids_[static_cast<std::size_t>(byte)] = id.value_or(-1);
  }
}

std::optional<std::int32_t> Bpe::id_of(std::string_view piece) const {
  const auto found = ids_.find(piece);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

const std::string* Bpe::piece(std::int32_t id) const {
  if (id < 0 || id >= size() || !pieces_[static_cast<std::size_t>(id)]) {
    return nullptr;
  }
  return &*pieces_[static_cast<std::size_t>(id)];
}

std::optional<char> Bpe::fallback_byte(std::int32_t id) const {
  if (options_.byte_level || !options_.byte_fallback) {
    return std::nullopt;
  }
  const auto found = std::find(byte_ids_.begin(), byte_ids_.end(), id);
  return found == byte_ids_.end() ? std::nullopt
                                  : std::optional(static_cast<char>(found - byte_ids_.begin()));
}

void Bpe::first_symbols(std::string_view piece, std::vector<Symbol>& symbols) const {
  bool after_unknown = false;
  for (std::size_t at = 0; at < piece.size();) {
    const std::size_t length =
        options_.byte_level ? 1 : std::max<std::size_t>(1, code_point_at(piece, at).length);
    const std::string_view character = piece.substr(at, length);
    at += length;
    const auto byte_id = [&](char byte) { return byte_ids_[static_cast<unsigned char>(byte)]; };
    const auto bytes = static_cast<std::uint32_t>(character.size());
    if (const auto id = id_of(character)) {
      symbols.push_back({*id, bytes});
    } else if (options_.byte_fallback) {
      for (const char byte : character) {
        symbols.push_back({byte_id(byte), 1});
      }
    } else if (options_.unknown) {
      if (after_unknown && options_.fuse_unknown) {
        symbols.back().bytes += bytes;
      } else {
        symbols.push_back({*options_.unknown, bytes});
      }
      after_unknown = true;
      continue;
    } else if (options_.byte_level) {
      refuse_file(what_,
                  fmt::format("the vocabulary lacks byte 0x{:02x} of the text and has no unknown "
                              "token; remove such bytes from the text",
                              static_cast<unsigned char>(character.front())));
    } else {
      refuse_file(what_,
                  fmt::format("no piece for the character '{}' and no unknown token", character));
    }
    after_unknown = false;
  }
}

const Bpe::Merge* Bpe::merge_of(std::int32_t left, std::int32_t right) const {
  const auto found = merges_.find(pair_key(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

void Bpe::encode(std::string_view piece, std::vector<Symbol>& result) const {
  if (piece.size() > kMaxPieceBytes) {
    refuse_file(what_, "a piece of more than 2^30 bytes");
  }
  if (options_.ignore_merges) {
    if (const auto id = id_of(piece)) {
      result.push_back({*id, static_cast<std::uint32_t>(piece.size())});
      return;
    }
  }
  std::vector<Symbol> symbols;
  first_symbols(piece, symbols);
  const auto count = static_cast<std::int32_t>(symbols.size());
  std::vector<std::int32_t> next(symbols.size());
  std::vector<std::int32_t> previous(symbols.size());
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> heap;
  const auto symbol = [&](std::int32_t at) -> Symbol& {
    return symbols[static_cast<std::size_t>(at)];
  };
  const auto after = [&](std::int32_t at) -> std::int32_t& {
    return next[static_cast<std::size_t>(at)];
  };
  const auto before = [&](std::int32_t at) -> std::int32_t& {
    return previous[static_cast<std::size_t>(at)];
  };
  const auto offer = [&](std::int32_t at) {
    if (at < 0 || after(at) >= count) {
      return;
    }
    if (const Merge* merge = merge_of(symbol(at).id, symbol(after(at)).id)) {
      heap.push({merge->rank, at, symbol(at).id, symbol(after(at)).id, merge->id});
    }
  };
  for (std::int32_t at = 0; at < count; ++at) {
    after(at) = at + 1;
    before(at) = at - 1;
  }
  for (std::int32_t at = 0; at < count; ++at) {
    offer(at);
  }
  while (!heap.empty()) {
    const Candidate best = heap.top();
    heap.pop();
    const std::int32_t gone = after(best.at);
    if (symbol(best.at).id != best.left || gone >= count || symbol(gone).id != best.right) {
      continue;
    }
    symbol(best.at) = {best.id, symbol(best.at).bytes + symbol(gone).bytes};
    symbol(gone).id = -1;  // ids are not negative, so stale candidates there never match
    after(best.at) = after(gone);
    if (after(gone) < count) {
      before(after(gone)) = best.at;
    }
    offer(before(best.at));
    offer(best.at);
  }
  for (std::int32_t at = 0; at < count; at = after(at)) {
    result.push_back(symbol(at));
  }
}

}  // namespace assay::datasets
