#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

// Byte-pair encoding: within a piece, the adjacent pair with the lowest rank is joined until no
// pair is in the table. Source: Sennrich 2016, section 3.2, in the form of GPT-2.

namespace assay::datasets {

// What a tokenizer file says, in bytes: stand-ins of byte-level files are already resolved.
struct BpeTables {
  std::vector<std::pair<std::string, std::int32_t>> vocabulary;
  std::vector<std::pair<std::string, std::string>> merges;  // by rank
  bool byte_level = true;      // first symbols are bytes; otherwise characters
  bool byte_fallback = false;  // characters without a piece become "<0x..>" pieces
  bool ignore_merges = false;  // a piece that is in the vocabulary is taken whole
  bool fuse_unknown = false;   // neighbouring unknown characters give one id
  std::optional<std::int32_t> unknown;
};

class Bpe {
 public:
  struct Symbol {
    std::int32_t id = 0;
    std::uint32_t bytes = 0;

    bool operator==(const Symbol&) const = default;
  };

  // Throws Error(kData) naming `what` if ids are negative, repeated or above 2^24, a merge names a
  // piece that is not in the vocabulary, or byte fallback lacks the piece of a byte. Real byte-level vocabularies lack bytes that no
  // valid UTF-8 or hardly any text holds.
  Bpe(const BpeTables& tables, const std::string& what);

  // Appends the ids of one piece, and how many of its bytes each stands for. Time is n log n in
  // its length. Throws Error(kData) for a
  // character or byte that has no piece, no fallback and no unknown id: leaving it out, as
  // Hugging Face's tokenizers does, would give a likelihood of another text.
  void encode(std::string_view piece, std::vector<Symbol>& symbols) const;

  // Bytes of an id; nullptr if there is none.
  const std::string* piece(std::int32_t id) const;

  // Value of a "<0x..>" piece under byte fallback.
  std::optional<char> fallback_byte(std::int32_t id) const;

  std::int64_t size() const { return static_cast<std::int64_t>(pieces_.size()); }
  std::optional<std::int32_t> id_of(std::string_view piece) const;

 private:
  struct Merge {
    std::int32_t rank;
    std::int32_t id;
  };
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };

  void first_symbols(std::string_view piece, std::vector<Symbol>& symbols) const;
  const Merge* merge_of(std::int32_t left, std::int32_t right) const;

  std::string what_;
  BpeTables options_;  // without its tables
  std::vector<std::optional<std::string>> pieces_;
  std::unordered_map<std::string, std::int32_t, TextHash, std::equal_to<>> ids_;
  std::unordered_map<std::uint64_t, Merge> merges_;
  std::array<std::int32_t, 256> byte_ids_{};  // -1: none
};

}  // namespace assay::datasets
