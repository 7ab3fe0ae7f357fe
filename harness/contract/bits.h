#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace assay {

// Bits of a weight or activation that is not quantized: "W4A16" rounds weights alone.
inline constexpr int kFloatBits = 16;

// The bits of a trial, 1 to 16 each.
struct Bits {
  int weights = kFloatBits;
  int activations = kFloatBits;
  int cache = kFloatBits;  // keys and values of attention

  bool operator==(const Bits&) const = default;
};

// The member that a stage or an expression calls "w_bits", "a_bits" or "kv_bits"; null for another
// name.
int Bits::*bits_named(std::string_view name);

// "W4A8", or "W4A8KV4" where keys and values are not float.
std::string text_of(const Bits& bits);

// The bits of such a text, with letters of either case; nothing for another text.
std::optional<Bits> bits_from(const std::string& text);

}  // namespace assay
