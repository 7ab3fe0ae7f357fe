#pragma once

#include <optional>
#include <string>
#include <string_view>

// GPT-2's printable stand-ins for bytes: 33-126, 161-172 and 174-255 stand for themselves, the
// other 68 in increasing order for U+0100, U+0101, ... Source: Radford 2019, released encoder.

namespace assay::datasets {

// The pre-tokenising expression of GPT-2 and OPT.
inline constexpr const char* kGpt2Expression =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// The bytes that a piece of stand-ins means; nothing if a character is no stand-in.
std::optional<std::string> bytes_of_stand_ins(std::string_view piece);

// The inverse.
std::string stand_ins_of_bytes(std::string_view bytes);

}  // namespace assay::datasets
