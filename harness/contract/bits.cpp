#include "harness/contract/bits.h"

#include <fmt/format.h>

#include <regex>

namespace assay {

int Bits::*bits_named(std::string_view name) {
  if (name == "w_bits") return &Bits::weights;
  if (name == "a_bits") return &Bits::activations;
  if (name == "kv_bits") return &Bits::cache;
  return nullptr;
}

std::optional<Bits> bits_from(const std::string& text) {
  static const std::regex kForm("W([0-9]{1,2})A([0-9]{1,2})(?:KV([0-9]{1,2}))?",
                                std::regex::icase | std::regex::optimize);
  std::smatch match;
  if (!std::regex_match(text, match, kForm)) return std::nullopt;
  const Bits bits{std::stoi(match[1]), std::stoi(match[2]),
                  match[3].matched ? std::stoi(match[3]) : kFloatBits};
  for (const int each : {bits.weights, bits.activations, bits.cache}) {
    if (each < 1 || each > kFloatBits) return std::nullopt;
  }
  return bits;
}

std::string text_of(const Bits& bits) {
  std::string text = fmt::format("W{}A{}", bits.weights, bits.activations);
  if (bits.cache != kFloatBits) text += fmt::format("KV{}", bits.cache);
  return text;
}

}  // namespace assay
